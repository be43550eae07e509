/** The commands with their options and help, and how they end: results, exit codes, one-sentence errors. */
import { Command, CommanderError, Option } from 'commander';
import { bench } from './commands/bench.js';
import { classify } from './commands/classify.js';
import { demo } from './commands/demo.js';
import { evaluate } from './commands/evaluate.js';
import { explain } from './commands/explain.js';
import { exportOnnx } from './commands/export.js';
import { finetune } from './commands/finetune.js';
import { list } from './commands/list.js';
import { summary } from './commands/summary.js';
import { train } from './commands/train.js';
import { UsageError } from './errors.js';
import { backendNames, parseShape } from './options.js';
import type { Terminal } from './terminal.js';
import { augmentNames, optimizerNames, scheduleNames } from './training/settings.js';

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
    .description('The classic convolutional networks: list, describe, run and train them.')
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
    .option('--model <name>', "one of 'cnn list'; may be left out with weights that cnn has trained")
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
    .option('--model <name>', "one of 'cnn list'; may be left out with weights that cnn has trained")
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
  const badImageOption = new Option('--on-bad-image <what>', 'what a picture that cannot be read does')
    .choices(['skip', 'fail'])
    .default('fail');
  const dataOption = [
    '--data <folder>',
    'a folder with the files of MNIST or CIFAR-10, or with a folder of pictures for each class',
  ] as const;
  /** What training from scratch and fine-tuning have in common. */
  const trainable = (command: Command, defaults: { readonly epochs: string; readonly augment: string }) =>
    command
      .requiredOption(...dataOption)
      .option('--epochs <n>', 'times that every picture is seen', defaults.epochs)
      .option('--batch <n>', 'pictures in a step', '64')
      .option('--lr <rate>', 'highest learning rate; default: 0.05 for sgd, 0.001 for the others')
      .addOption(
        new Option('--optimizer <name>', 'sgd and rmsprop have a momentum of 0.9')
          .choices(optimizerNames)
          .default('adam'),
      )
      .option('--weight-decay <factor>', 'default: 0.0005 for sgd, 0.01 for adamW, else 0')
      .addOption(
        new Option('--schedule <name>', 'how the learning rate changes')
          .choices(scheduleNames)
          .default('cosine'),
      )
      .addOption(
        new Option(
          '--augment <name>',
          `how pictures are varied: standard crops and mirrors, color changes colours too, alexnet is the recipe of its paper; default: ${defaults.augment}`,
        ).choices(augmentNames),
      )
      .option('--size <pixels>', "side of the model's input; default: what the model was published for")
      .option('--validation <share>', 'share of an image folder that is held back for evaluation', '0.2')
      .option(
        '--patience <n>',
        'stop after so many epochs without a better accuracy, and keep the best weights',
      )
      .addOption(badImageOption)
      .option('--seed <n>', 'decides weights, order and augmentation', '0')
      .option('--out <folder>', 'where weights, checkpoint and report go; default: runs/<model>')
      .option('--resume', 'go on with the run in that folder')
      .option(...modelOption)
      .addOption(backendOption)
      .option('--threads <n>', 'threads for the CPU')
      .option('--json', 'the result as JSON');
  trainable(program.command('train <model>').description('train a network from scratch'), {
    epochs: '10',
    augment: 'standard',
  })
    .addHelpText(
      'after',
      '\nCtrl-C saves the run; the same line with --resume goes on with it. A second Ctrl-C ends at once.\n\nExamples:\n  cnn train lenet5 --data mnist --epochs 5 --lr 0.002\n  cnn train resnet20 --data cifar-10-batches-bin --optimizer sgd --lr 0.1 --epochs 60\n  cnn train mobilenet_v2 --data flowers --size 128 --on-bad-image skip',
    )
    .action((model, options) => train(model, { ...options, args }, terminal, signal));
  trainable(
    program
      .command('finetune [model]')
      .description('train a published network on for new classes, named by folders')
      .option('--weights <source>', 'a file, a URL, a name of published weights, or default')
      .option('--cache <folder>', 'where downloads are kept')
      .option(
        '--freeze <parts>',
        'what stays as it is: trunk (all but the classifier), none, or paths such as conv1,layer1',
        'trunk',
      )
      .option('--trunk-lr <rate>', 'learning rate of all but the classifier; default: a tenth of --lr'),
    {
      epochs: '10',
      augment: 'none with a frozen trunk, whose features are then computed once, else standard',
    },
  )
    .addHelpText(
      'after',
      '\nExamples:\n  cnn finetune mobilenet_v2 --data flowers\n  cnn finetune resnet18 --data flowers --freeze conv1,bn1,layer1 --lr 0.001 --trunk-lr 0.0001\n  cnn classify photo.jpg --weights runs/mobilenet_v2-finetuned/model.safetensors',
    )
    .action((model, options) => finetune(model, { ...options, args }, terminal, signal));
  program
    .command('evaluate [model]')
    .description('count how often a model is right, and what it takes for what')
    .requiredOption(...dataOption)
    .option('--weights <source>', 'a file, a URL, a name of published weights, or default')
    .option('--batch <n>', 'pictures in a run', '50')
    .option('--size <pixels>', "side of the model's input; default: what its weights were made for")
    .option('--ten-crop', 'average over the corners, the middle and their mirror images, as AlexNet did')
    .addOption(badImageOption)
    .option('--html <file>', 'write a page with the confusion matrix')
    .option(...modelOption)
    .addOption(backendOption)
    .option('--threads <n>', 'threads for the CPU')
    .option('--cache <folder>', 'where downloads are kept')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  cnn evaluate lenet5 --data mnist\n  cnn evaluate --weights runs/resnet20/model.safetensors --data cifar-10-batches-bin --html confusion.html',
    )
    .action((model, options) => evaluate(model, options, terminal, signal));
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
