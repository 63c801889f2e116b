// A worker thread that ends before it has said a word.
process.exit(7);
