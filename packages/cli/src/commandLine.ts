/** Defines the commands with their options and help. */
import type { Command, Option } from 'commander';
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
import { commandOf, programName } from './invocation.js';
import { choice, count, option, share, shared } from './options.js';
import { readingOptions } from './reading.js';
import type { Terminal } from './terminal.js';
import { rate, trainingOptions } from './training/options.js';

/** Command line that is run. */
export interface CommandLine {
  readonly args: readonly string[];
  readonly terminal: Terminal;
  readonly signal: AbortSignal | undefined;
  /** Exit code of a command that ends without an error. */
  code: number;
}

/** Defines a command; `help` are the lines after its options. Its example lines begin with two spaces and `cnn`. */
type Define = (
  usage: string,
  description: string,
  options: readonly Option[],
  ...help: readonly string[]
) => Command;

const { model, modelOption, input, backend, threads, cache, data, badImage, json } = shared;
const weights = [shared.weights, shared.weightsKey, shared.rename];

/** Adds all commands to the program, in the order of its help. */
export function defineCommands(program: Command, line: CommandLine): void {
  const command: Define = (usage, description, options, ...help) => {
    const made = program.command(usage).description(description);
    for (const each of options) made.addOption(each);
    if (/[<[]model[>\]]/.test(usage)) made.addOption(misplacedModel(made.name()));
    const lines = help.map((each) => each.replace(/^ {2}cnn /, `  ${programName()} `));
    return made.addHelpText('after', ['', ...lines].join('\n'));
  };
  for (const define of [
    listCommand,
    summaryCommand,
    classifyCommand,
    benchCommand,
    explainCommand,
    trainCommand,
    finetuneCommand,
    evaluateCommand,
    exportCommand,
    demoCommand,
  ])
    define(command, line);
}

/** Makes the option `--model` of a command that takes the model as an argument: it says so. */
const misplacedModel = (command: string): Option =>
  option('--model <name>', '', (name) => {
    throw new UsageError(`'${command}' takes the model without --model: ${commandOf(`${command} ${name}`)}`);
  }).hideHelp();

function listCommand(command: Define, { terminal }: CommandLine): void {
  command('list', 'list the models of the installed families', [json]).action((options) =>
    list(options, terminal),
  );
}

function summaryCommand(command: Define, { terminal }: CommandLine): void {
  command(
    'summary <model>',
    'show the layers of a model with shapes, parameters and multiply-adds',
    [input, modelOption, json],
    'Examples:',
    '  cnn summary resnet18',
    '  cnn summary mobilenet_v1 --option width=0.25 --input 1x3x96x96',
  ).action((name, options) => summary(name, options, terminal));
}

function classifyCommand(command: Define, line: CommandLine): void {
  command(
    'classify <picture...>',
    'classify pictures',
    [
      model,
      ...weights,
      option('--top <n>', 'number of classes to print', count, 5),
      ...readingOptions,
      modelOption,
      backend,
      threads,
      cache,
      json,
    ],
    'A picture is a JPEG or PNG file, a URL of one, or - for the standard input.',
    '',
    'Examples:',
    '  cnn classify photo.jpg --model mobilenet_v2 --weights default',
    '  cnn classify *.png --model resnet50 --weights resnet50.pth --top 1 --json',
    '  cnn classify photo.jpg --weights runs/flowers/model.safetensors',
  ).action(async (pictures, options) => {
    line.code = await classify(pictures, options, line.terminal, line.signal);
  });
}

function benchCommand(command: Define, { terminal, signal }: CommandLine): void {
  command(
    'bench <model>',
    'time a model, layer by layer',
    [
      input,
      option('--runs <n>', 'timed runs, and as many again for the times of each step', count, 10),
      modelOption,
      backend,
      threads,
      option('--html <file>', 'write an HTML page with a bar for each step'),
      json,
    ],
    'Examples:',
    '  cnn bench mobilenet_v2',
    '  cnn bench resnet18 --threads 1 --html resnet18.html',
  ).action((name, options) => bench(name, options, terminal, signal));
}

function explainCommand(command: Define, { terminal, signal }: CommandLine): void {
  command(
    'explain <picture>',
    'draw a heat map of the evidence for a class over a picture (Grad-CAM)',
    [
      model,
      ...weights,
      option('--layer <path>', 'module to explain; default: the last one whose output has rows and columns'),
      option('--class <index|label>', 'class to explain; default: the most likely one'),
      option('--opacity <share>', 'opacity of the heat map, from 0 to 1', share, 0.5),
      option('--out <file>', 'file of the result; default: <picture>-explained.png in the current folder'),
      option('--filters <file>', 'also write the filters of the first convolution to this file'),
      option('--features <file>', "also write the layer's feature maps to this file"),
      modelOption,
      backend,
      threads,
      cache,
      json,
    ],
    'A picture is a JPEG or PNG file, a URL of one, or - for the standard input. Results are PNG files.',
    '',
    'Examples:',
    '  cnn explain photo.jpg --model resnet18 --weights default',
    "  cnn explain photo.jpg --model mobilenet_v2 --weights default --class 'tabby cat' --layer features.13 --features maps.png",
  ).action((picture, options) => explain(picture, options, terminal, signal));
}

function trainCommand(command: Define, { args, terminal, signal }: CommandLine): void {
  command(
    'train <model>',
    'train a network from scratch',
    trainingOptions({ augment: 'standard', out: 'runs/<model>' }),
    'Ctrl-C saves the run; the same command with --resume continues it. A second Ctrl-C quits at once.',
    '',
    'Examples:',
    '  cnn train lenet5 --data mnist --epochs 5 --lr 0.002',
    '  cnn train resnet20 --data cifar-10-batches-bin --optimizer sgd --lr 0.1 --epochs 60',
    '  cnn train mobilenet_v2 --data flowers --size 128 --on-bad-image skip --class-weights balanced',
  ).action((name, options) => train(name, { ...options, args }, terminal, signal));
}

function finetuneCommand(command: Define, { args, terminal, signal }: CommandLine): void {
  command(
    'finetune [model]',
    'fine-tune a published network for the classes of a dataset',
    [
      ...weights,
      cache,
      option(
        '--freeze <parts>',
        'layers that are not trained: trunk (all but the classifier), none, or paths such as conv1,layer1',
        undefined,
        'trunk',
      ),
      option('--trunk-lr <rate>', 'learning rate of all but the classifier; default: a tenth of --lr', rate),
      ...trainingOptions({
        augment: 'none with a frozen trunk (its features are then computed once), else standard',
        out: 'runs/<model>-finetuned',
      }),
    ],
    'Ctrl-C saves the run; the same command with --resume continues it. A second Ctrl-C quits at once.',
    '',
    'Examples:',
    '  cnn finetune mobilenet_v2 --data flowers',
    '  cnn finetune resnet18 --data flowers --freeze conv1,bn1,layer1 --lr 0.001 --trunk-lr 0.0001',
    '  cnn classify photo.jpg --weights runs/mobilenet_v2-finetuned/model.safetensors',
  ).action((name, options) => finetune(name, { ...options, args }, terminal, signal));
}

function evaluateCommand(command: Define, { terminal, signal }: CommandLine): void {
  command(
    'evaluate [model]',
    'measure the accuracy of a model, with a confusion matrix',
    [
      data,
      ...weights,
      option('--batch <n>', 'pictures per batch', count, 50),
      option(
        '--size <pixels>',
        "side of the model's input, in pixels; default: the input size of the weights",
        count,
      ),
      choice('--part <name>', 'part of the folder to read; default: test, else validation, else train', [
        'train',
        'validation',
        'test',
      ]),
      ...readingOptions,
      option('--ten-crop', 'average over ten crops, as AlexNet: corners, middle, and their mirror images'),
      badImage,
      option('--html <file>', 'write an HTML page with the confusion matrix'),
      modelOption,
      backend,
      threads,
      cache,
      json,
    ],
    'Examples:',
    '  cnn evaluate lenet5 --data mnist',
    '  cnn evaluate --weights runs/resnet20/model.safetensors --data cifar-10-batches-bin --html confusion.html',
    '  cnn evaluate resnet50 --weights resnet50.pth --data imagenet/val --resize 256 --crop 224',
  ).action((name, options) => evaluate(name, options, terminal, signal));
}

function exportCommand(command: Define, { terminal, signal }: CommandLine): void {
  command(
    'export [model]',
    'export a model with its weights to ONNX',
    [
      ...weights,
      input,
      option('--out <file>', 'file to write; default: <model>.onnx in the current folder'),
      option('--dynamic-batch', 'leave the batch size open'),
      modelOption,
      cache,
      json,
    ],
    'Examples:',
    '  cnn export mobilenet_v2 --weights default',
    '  cnn export resnet50 --weights resnet50.pth --out resnet50.onnx --dynamic-batch',
    '  cnn export --weights runs/flowers/model.safetensors --out flowers.onnx',
  ).action((name, options) => exportOnnx(name, options, terminal, signal));
}

function demoCommand(command: Define, { terminal, signal }: CommandLine): void {
  command('demo', 'draw a few digits and classify them', []).action(async () => {
    await demo(terminal, signal);
  });
}
