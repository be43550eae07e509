/** Command lines in messages, as the user types them: `cnn list`, or `npm start -- list` in a clone. */

/**
 * Gives the command line of some arguments.
 * @param words - the arguments, quoted for a shell: `classify photo.jpg`.
 */
export const commandOf = (words: string): string => `${programName()} ${words}`;

/** Gives the words that start the program: those in `CNN_COMMAND`, which `scripts/run.mjs` sets; default `cnn`. */
export const programName = (): string => process.env.CNN_COMMAND || 'cnn';
