/** Runs command lines: turns results and errors into exit codes. */
import { existsSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { version } from '../package.json';
import { type CommandLine, defineCommands } from './commandLine.js';
import { isInterrupt, UsageError } from './errors.js';
import { provideGpu } from './gpu.js';
import { commandOf, programName } from './invocation.js';
import { guarded, type Terminal } from './terminal.js';

/**
 * Runs a command line.
 * @returns the exit code: 0 for success, 1 for a failure, 2 for a wrong command line, 130 for an interrupt.
 */
export async function run(
  args: readonly string[],
  unguarded: Terminal,
  signal?: AbortSignal,
): Promise<number> {
  const terminal = guarded(unguarded);
  const program = new Command(programName())
    .description('The classic convolutional networks: list, describe, run and train them.')
    .version(version, '-V, --version')
    .option('--debug', 'print the stack trace of an error')
    .showHelpAfterError("Add --help to see a command's options.")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.note(text.trimEnd()),
    });
  const line: CommandLine = { args, terminal, signal, code: 0 };
  defineCommands(program, line);
  program.hook('preAction', async (_, command) => {
    if (command.getOptionValue('backend') === 'gpu') await provideGpu();
  });
  // commander's `help` prints nothing for an unknown command; without `help` the command fails with its name.
  const [first, topic] = args;
  const unknown = first === 'help' && topic && !program.commands.some((known) => known.name() === topic);
  try {
    await program.parseAsync(unknown ? args.slice(1) : args, { from: 'user' });
    return line.code;
  } catch (error) {
    if (error instanceof CommanderError) {
      const hint = hintOf(error, program);
      if (hint) terminal.note(hint);
      return error.exitCode === 0 ? 0 : 2;
    }
    terminal.progress('');
    if (isInterrupt(error, signal)) {
      terminal.note('Interrupted.');
      return 130;
    }
    const debug = args.includes('--debug');
    terminal.note(
      debug && error instanceof Error
        ? (error.stack ?? error.message)
        : `cnn: ${error instanceof Error ? error.message : String(error)}`,
    );
    return error instanceof UsageError ? 2 : 1;
  }
}

/** Gives what to do about a wrong command line, for errors to which commander gives no advice of use. */
function hintOf({ code, message }: CommanderError, { commands }: Command): string | undefined {
  if (code === 'commander.unknownCommand')
    return `The commands are ${commands.map((command) => command.name()).join(', ')}; '${commandOf('--help')}' describes them.`;
  const [, option] = /unknown option '(-.*)'/.exec(message) ?? [];
  if (code === 'commander.unknownOption' && option && existsSync(option))
    return `A file whose name begins with a dash is written ./${option}.`;
  return undefined;
}
