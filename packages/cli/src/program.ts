/** The commands with their options and help, and how they end: results, exit codes, one-sentence errors. */
import { Command, CommanderError, Option } from 'commander';
import { bench } from './commands/bench.js';
import { classify } from './commands/classify.js';
import { demo } from './commands/demo.js';
import { explain } from './commands/explain.js';
import { exportOnnx } from './commands/export.js';
import { list } from './commands/list.js';
import { summary } from './commands/summary.js';
import { UsageError } from './errors.js';
import { backendNames, parseShape } from './options.js';
import type { Terminal } from './terminal.js';

const collect = (value: string, all: readonly string[]): readonly string[] => [...all, value];

/**
 * Runs the command line. Gives the exit code: 0 when all went well, 1 when something failed, 2 when what
 * was typed makes no sense, 130 when it was interrupted.
 */
export async function run(
  args: readonly string[],
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<number> {
  let code = 0;
  const program = new Command('cnn')
    .description('The classic convolutional networks: list, describe and run them.')
    .version('0.0.0', '-V, --version')
    .option('--debug', 'show the stack of an error')
    .showHelpAfterError("Add --help to see a command's options.")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.note(text.trimEnd()),
    });
  const modelOption = [
    '--option <key=value>',
    'option of the model, such as width=0.5; may be repeated',
    collect,
    [],
  ] as const;
  const backendOption = new Option('--backend <name>', 'what to run on')
    .choices(backendNames)
    .default('auto');

  program
    .command('list')
    .description('list the models of the installed families')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExamples:\n  cnn list\n  cnn list --json')
    .action((options) => list(options, terminal));
  program
    .command('summary <model>')
    .description('show the layers of a model with shapes, parameters and multiply-adds')
    .option('--input <shape>', 'input shape, such as 1x3x224x224', parseShape)
    .option(...modelOption)
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  cnn summary resnet18\n  cnn summary mobilenet_v1 --option width=0.25 --input 1x3x96x96',
    )
    .action((model, options) => summary(model, options, terminal));
  program
    .command('classify <picture...>')
    .description('name what is in pictures')
    .requiredOption('--model <name>', "one of 'cnn list'")
    .option('--weights <source>', 'a file, a URL, a name of published weights, or default')
    .option('--top <n>', 'how many classes to show', '5')
    .option(...modelOption)
    .addOption(backendOption)
    .option('--threads <n>', 'threads for the CPU')
    .option('--cache <folder>', 'where downloads are kept')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  cnn classify photo.jpg --model mobilenet_v2 --weights default\n  cnn classify *.png --model resnet50 --weights resnet50.pth --top 1 --json',
    )
    .action(async (pictures, options) => {
      code = await classify(pictures, options, terminal, signal);
    });
  program
    .command('bench <model>')
    .description('time a model, layer by layer')
    .option('--runs <n>', 'runs after the first', '10')
    .option(...modelOption)
    .addOption(backendOption)
    .option('--threads <n>', 'threads for the CPU')
    .option('--html <file>', 'write a page with a picture')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  cnn bench mobilenet_v2\n  cnn bench resnet18 --threads 1 --html resnet18.html',
    )
    .action((model, options) => bench(model, options, terminal, signal));
  program
    .command('explain <picture>')
    .description('show where in a picture the evidence for a class lies, as a heat map (Grad-CAM)')
    .requiredOption('--model <name>', "one of 'cnn list'")
    .option('--weights <source>', 'a file, a URL, a name of published weights, or default')
    .option('--layer <path>', 'the module to look at; default: the last with rows and columns')
    .option('--class <index|label>', 'the class to explain; default: the most likely one')
    .option('--opacity <share>', 'how much of the heat map is seen, from 0 to 1', '0.5')
    .option('--out <file>', 'where the picture goes; default: <picture>-explained.png here')
    .option('--filters <file>', 'write the filters of the first convolution as well')
    .option('--features <file>', "write the layer's feature maps as well")
    .option(...modelOption)
    .addOption(backendOption)
    .option('--threads <n>', 'threads for the CPU')
    .option('--cache <folder>', 'where downloads are kept')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      "\nExamples:\n  cnn explain photo.jpg --model resnet18 --weights default\n  cnn explain photo.jpg --model mobilenet_v2 --weights default --class 'tabby cat' --layer features.13 --features maps.png",
    )
    .action((picture, options) => explain(picture, options, terminal, signal));
  program
    .command('export <model>')
    .description('write a model with its weights as an ONNX file, for any other engine')
    .option('--weights <source>', 'a file, a URL, a name of published weights, or default')
    .option('--input <shape>', 'input shape, such as 1x3x224x224', parseShape)
    .option('--out <file>', 'where it goes; default: <model>.onnx here')
    .option('--dynamic-batch', 'leave the number of pictures open')
    .option(...modelOption)
    .option('--cache <folder>', 'where downloads are kept')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  cnn export mobilenet_v2 --weights default\n  cnn export resnet50 --weights resnet50.pth --out resnet50.onnx --dynamic-batch',
    )
    .action((model, options) => exportOnnx(model, options, terminal, signal));
  program
    .command('demo')
    .description('classify a handful of digits drawn here')
    .action(async () => {
      await demo(terminal, signal);
    });

  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    terminal.progress('');
    if (signal?.aborted) {
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
