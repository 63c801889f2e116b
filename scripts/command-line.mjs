// What the command lines of the scripts have in common.

/**
 * Reads a command line. Prints the help and ends the program where that is asked for; says what does not fit and ends it with 2
 * where something does not.
 * @param name as in `npm run name`
 * @param help undefined: the script prints its own
 * @param read gives the values, `help` among them; throws an Error that names the option and what it may be
 */
export function commandLine(name, help, read) {
  try {
    const values = read(process.argv.slice(2));
    if (!values.help) return values;
    console.log(help);
    process.exit(0);
  } catch (error) {
    console.error(`${name}: ${sentence(error.message)} See npm run ${name} -- --help`);
    process.exit(2);
  }
}

/** @returns a whole number. @throws Error that names the option and its range */
export function wholeOption(name, text, least, most) {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= least && number <= most) return number;
  throw new Error(`--${name} ${text}: a whole number from ${least} to ${most}.`);
}

/** Node's own messages have no full stop. */
function sentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
