const HELP = `npm start, or node dist/main.js

Runs the service until SIGTERM or Ctrl+C. It takes no options: settings come from environment variables, such as
PORT=8080 npm start, or from a file: node --env-file=.env dist/main.js. The README and .env.example list them all; values that
do not fit are told at start. Logs are JSON lines on standard output.
`;

/**
 * What the command line asks for instead of a service.
 * @param args without the program's own name
 * @returns what to print before ending well; undefined: run
 * @throws Error at any option: left unheard, it would be taken for heard
 */
export function helpAskedFor(args: readonly string[]): string | undefined {
  if (args.some((arg) => arg === '--help' || arg === '-h')) return HELP;
  if (args.length === 0) return undefined;
  throw new Error(`there is no option ${args[0]}. Settings are environment variables: PORT=8080 npm start. See --help`);
}
