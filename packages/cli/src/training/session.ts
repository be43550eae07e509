/** Runs a training with its files: resumes, shows progress, saves on an interrupt, writes the report. */
import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileFormatError, type Module, type Transform, type Weights, writeSafetensors } from '@cnn/core';
import {
  crossEntropy,
  type Dataset,
  type Evaluation,
  evaluate,
  type ParameterGroup,
  type Trainer,
  TrainingDiverged,
  trainer,
} from '@cnn/train';
import { isInterrupt, UsageError } from '../errors.js';
import { reasonOf, writeResult } from '../files.js';
import { commandOf } from '../invocation.js';
import { metadataOf } from '../savedModel.js';
import { counted, noteFallback, printable, printJson, type Terminal, threadsOf } from '../terminal.js';
import { curves } from './chart.js';
import { classWeightsFor } from './classWeights.js';
import type { TrainingData } from './data.js';
import { type Fingerprint, isFingerprint, requireSameData } from './fingerprint.js';
import { lockFolder, requireUnlocked } from './lock.js';
import type { TrainingOptions } from './options.js';
import { duration, trainingProgress } from './progress.js';
import { optimizers, preparationOf, schedules } from './recipes.js';
import { evaluationLine, reportPage } from './report.js';
import { faultOfSettings, flagOf, requireSame, type Settings } from './settings.js';

/** Model, data and settings of a run. */
export interface Job {
  readonly model: Module;
  readonly weights: Weights;
  readonly data: TrainingData;
  readonly preset: Transform;
  readonly settings: Settings;
  readonly out: string;
  /** Path prefixes of parameters that are not trained. */
  readonly freeze?: readonly string[];
  readonly groups?: readonly ParameterGroup[];
}

const CHECKPOINT = 'checkpoint.safetensors';
const SETTINGS = 'run.json';
const MODEL = 'model.safetensors';

/** Advice for a file of settings that cannot be used. */
const WAY_OUT = 'Put back a copy of it, or begin again with another --out.';

/** Content of the file of settings: the settings, and the fingerprint of the data. */
type StoredSettings = Settings & { readonly pictures: Fingerprint };

/**
 * Checks the folder of the run, before anything is loaded.
 * @throws UsageError as {@link requireRun}, or if settings differ.
 */
export async function requireOut(out: string, resume: boolean, settings: Settings): Promise<void> {
  await requireUnlocked(out);
  await checkOut(out, resume, settings);
}

/**
 * Checks the folder of the run as far as its settings do not matter.
 * @throws UsageError if another run writes into it, if it holds a run but `resume` is false, or the other way
 * round.
 */
export async function requireRun(out: string, resume: boolean): Promise<void> {
  await requireUnlocked(out);
  requirePresence(out, resume);
}

/** Compares what a folder holds with the settings, and gives the fingerprint of the data that its run began with. */
async function checkOut(out: string, resume: boolean, settings: Settings): Promise<Fingerprint | undefined> {
  requirePresence(out, resume);
  if (!resume) return undefined;
  const { pictures, ...stored } = await readSettings(join(out, SETTINGS));
  requireSame(stored, settings, out);
  return pictures;
}

/** Throws if the folder is a file, or if it holds a run but `resume` is false, or the other way round. */
function requirePresence(out: string, resume: boolean): void {
  if (statSync(out, { throwIfNoEntry: false })?.isDirectory() === false)
    throw new Error(`Cannot make the folder ${out}: a file of that name exists. Give another path.`);
  const exists = existsSync(join(out, CHECKPOINT));
  if (resume && !exists)
    throw new UsageError(`There is no run to continue: ${join(out, CHECKPOINT)} does not exist.`);
  if (exists && !resume)
    throw new UsageError(
      `${out} already holds a run. Add --resume to continue it, or give another folder with --out.`,
    );
}

/**
 * Reads the file of settings.
 * @throws UsageError that names the fault and the way out.
 */
async function readSettings(path: string): Promise<StoredSettings> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new UsageError(
      `The settings of the run cannot be read from ${path}: ${reasonOf(error)}. ${WAY_OUT}`,
    );
  });
  return parsed(text, (reason) => {
    throw new UsageError(
      `${path} does not hold the settings of a run, without which it cannot continue: ${printable(reason)}. ${WAY_OUT}`,
    );
  });
}

/** Parses settings from a file. @param fail - throws, and gets the fault as the end of a sentence. */
function parsed(text: string, fail: (reason: string) => never): StoredSettings {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fail('it is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail('it is no object');
  const { pictures, ...settings } = value as Readonly<Record<string, unknown>>;
  const fault = faultOfSettings(settings);
  if (fault !== undefined) return fail(fault);
  if (!isFingerprint(pictures)) return fail("its 'pictures' are not the classes and files of the data");
  return value as StoredSettings;
}

/**
 * Checks that a checkpoint is one of this run: its description is the settings and pictures of the run that wrote it.
 * @throws UsageError that names the difference.
 */
function requireOwn(description: string | undefined, stored: StoredSettings, out: string): void {
  const { pictures, ...settings } = parsed(description ?? '', (reason) => {
    throw new UsageError(
      `${join(out, CHECKPOINT)} does not say of which run it is: ${printable(reason)}. ${WAY_OUT}`,
    );
  });
  const { pictures: own, ...now } = stored;
  try {
    requireSame(settings, now, out);
    requireSameData(pictures, own, stored.data, out);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`${join(out, CHECKPOINT)} is the checkpoint of another run. ${error.message}`);
  }
}

/** Folder of a run that no other command writes into. */
export interface ClaimedFolder extends AsyncDisposable {
  /**
   * Checks the data of a continued run.
   * @throws UsageError if they differ from the data at its start, naming the difference.
   */
  requireSameData(data: Pick<TrainingData, 'fingerprint'>): void;
}

/** Checks the folder of a run again and locks it until the result is disposed of. */
export async function claimFolder(out: string, resume: boolean, settings: Settings): Promise<ClaimedFolder> {
  const lock = await lockFolder(out);
  try {
    const began = await checkOut(out, resume, settings);
    return {
      ...lock,
      requireSameData(data) {
        if (began) requireSameData(began, data.fingerprint, settings.data, out);
      },
    };
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}

/** Quotes a word for a shell, if necessary. */
const quoted = (text: string): string =>
  /^[\w./:=@,+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** Gives the command line that continues a run. */
export function resumeLine(args: readonly string[], out: string): string {
  const given = args.some((word) => word === '--out' || word.startsWith('--out='));
  const words = args.filter((word) => word !== '--resume');
  return commandOf([...words, ...(given ? [] : ['--out', out]), '--resume'].map(quoted).join(' '));
}

/** Options, output and start time of a run. */
interface RunContext {
  readonly options: TrainingOptions;
  readonly terminal: Terminal;
  readonly signal: AbortSignal | undefined;
  /** Prints a line of the result: to the standard output, or to the standard error with `--json`. */
  readonly say: (line: string) => void;
  /** Time of the start, in milliseconds of `performance.now`. */
  readonly started: number;
}

/** Gives the shape of a batch. */
const inputOf = ({ settings, data, preset }: Job): readonly number[] => [
  Math.min(settings.batch, data.train.size),
  preset.mean.length,
  preset.crop,
  preset.crop,
];

/** Trains a model, and writes weights, checkpoint and report into the folder of the run. */
export async function runTraining(
  job: Job,
  options: TrainingOptions,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<void> {
  const { model, weights, data, preset, settings, out, freeze, groups } = job;
  const { epochs, backend, threads } = options;
  const { labelSmoothing, lr: learningRate, weightDecay, clip, ema, seed } = settings;
  if (options.patience !== undefined && !data.validation)
    throw new UsageError(
      `--patience watches the accuracy on pictures for evaluation, and ${settings.data} has none; put some in a folder val, or hold some back with --validation 0.2.`,
    );
  const classWeights = classWeightsFor(settings.classWeights, data.classes, data.labels);
  const { words, ...preparation } = preparationOf(settings.augment, preset, data);
  const checkpoint = join(out, CHECKPOINT);
  const say = (line: string): void => (options.json ? terminal.note(line) : terminal.print(line));
  const context: RunContext = { options, terminal, signal, say, started: performance.now() };
  const [pictures] = inputOf(job) as [number];
  if (pictures < settings.batch)
    terminal.note(
      `A step has ${counted(pictures, 'picture')}, all that there are for training, instead of ${settings.batch}.`,
    );
  const rest = data.train.size % pictures;
  if (rest > 0)
    terminal.note(
      `Each epoch leaves out ${rest} of ${data.train.size.toLocaleString('en-US')} pictures, others every time: its last batch would not be full.`,
    );
  if (settings.augment !== 'none') terminal.note(`Augmentation: ${words}.`);
  const stored: StoredSettings = { ...settings, pictures: data.fingerprint };
  await writeResult(join(out, SETTINGS), `${JSON.stringify(stored, null, 2)}\n`);
  await using run = trainer({
    description: JSON.stringify(stored),
    model,
    weights,
    input: inputOf(job),
    seed,
    backend,
    threads,
    freeze,
    groups,
    clip,
    ema,
    // Without it an average of 0.999 would still be near the random weights after a short run.
    emaWarmUp: ema !== undefined,
    optimizer: optimizers[settings.optimizer].make({ learningRate, weightDecay }),
    schedule: schedules[settings.schedule](epochs),
    loss: crossEntropy({ labelSmoothing, classWeights }),
    ...preparation,
    cacheFeatures: settings.freeze === 'trunk' && !preparation.augment,
  });
  if (options.resume) {
    const check = (description: string | undefined): void => requireOwn(description, stored, out);
    await run.restore(checkpoint, { check }).catch((error: unknown) => {
      if (!(error instanceof FileFormatError)) throw error;
      throw new Error(
        `The checkpoint ${checkpoint} cannot be read: ${error.message} ${existsSync(join(out, MODEL)) ? `Put back a copy of it, or fine-tune the weights of the last epoch with: ${commandOf(`finetune --weights ${quoted(join(out, MODEL))}`)}` : 'Put back a copy of it, or begin again with another folder for --out.'}`,
        { cause: error },
      );
    });
    say(`Continuing after ${counted(run.step, 'step')}, in epoch ${run.epoch + 1}.`);
  }
  // A restored run has its file; another one has none before the end of its first epoch.
  let savedSteps = options.resume ? run.step : undefined;
  const onSaved = (): void => {
    savedSteps = run.step;
  };
  try {
    const evaluation = await fit(job, run, { epochs, checkpoint, onSaved }, context);
    await finish(job, run, evaluation, context);
  } catch (error) {
    terminal.progress('');
    if (error instanceof TrainingDiverged && savedSteps !== undefined)
      terminal.note(
        `The last good state, after ${counted(savedSteps, 'step')}, is in ${checkpoint}. Begin again with a lower --lr and another --out${existsSync(join(out, MODEL)) ? `, or fine-tune the weights of the last epoch: ${commandOf(`finetune --weights ${quoted(join(out, MODEL))}`)}` : ''}.`,
      );
    if (!isInterrupt(error, signal)) throw error;
    await run.save(checkpoint);
    const usable = run.epoch > 0 ? `, the weights after epoch ${run.epoch} in ${join(out, MODEL)}` : '';
    terminal.note(
      `Stopped after ${counted(run.step, 'step')}, in epoch ${run.epoch + 1}; the state is in ${checkpoint}${usable}. Continue with:\n  ${resumeLine(options.args, out)}`,
    );
    throw error;
  }
}

/** Epochs of a run, and the file of its state. */
interface FitFiles {
  readonly epochs: number;
  readonly checkpoint: string;
  /** Called when the state of an epoch's end is in the file. */
  onSaved(): void;
}

/** Trains the remaining epochs, and gives the evaluation of the last one. */
async function fit(
  job: Job,
  run: Trainer,
  { epochs, checkpoint, onSaved }: FitFiles,
  { options: { backend, patience }, terminal, signal, say }: RunContext,
): Promise<Evaluation | undefined> {
  const { data } = job;
  const show = trainingProgress(terminal, epochs, say);
  let evaluation: Evaluation | undefined;
  let noted = false;
  for await (const progress of run.fit(data.train, {
    epochs,
    validation: data.validation,
    earlyStopping: patience === undefined ? undefined : { patience, monitor: 'accuracy' },
    checkpoint: { path: checkpoint },
    signal,
  })) {
    if (!noted)
      noteFallback(terminal, backend, {
        backend: run.backend ?? '',
        fallbackReason: run.fallbackReason,
      });
    noted = true;
    show(progress);
    if (!progress.epochDone) continue;
    onSaved();
    evaluation = progress.validation;
    await writeModel(job, await usableWeights(job, run, patience !== undefined));
    await writeReport(job, run, evaluation);
    if (evaluation && !Number.isFinite(evaluation.loss))
      terminal.note(
        `The evaluation loss of epoch ${progress.epoch} is ${evaluation.loss}: ${notFinite} The run continues.`,
      );
    if (progress.stopped)
      say(`No better accuracy for ${counted(patience!, 'epoch')}; the best weights are kept.`);
  }
  terminal.progress('');
  return evaluation;
}

/** Cause and remedy of an evaluation loss that is not finite. */
const notFinite =
  'outputs of the network are NaN or infinite for some pictures. Give a smaller --lr, or bound the gradients with --clip 1.';

/** Gives the weights to write: the best with early stopping, the averaged with `--ema`, else the current. */
const usableWeights = ({ settings }: Job, run: Trainer, best: boolean): Promise<Weights> =>
  best ? run.bestWeights() : settings.ema === undefined ? run.weights() : run.averagedWeights();

/** Writes weights with their description, and gives the path. */
async function writeModel({ data, preset, settings, out }: Job, weights: Weights): Promise<string> {
  const { model } = settings;
  // Fine-tuning may have started with weights of another number of classes.
  const options = settings.options.filter((pair) => !pair.startsWith('numClasses='));
  const description = { model, options, classes: data.classes, transform: preset };
  const file = join(out, MODEL);
  await writeResult(file, writeSafetensors(weights, metadataOf(description)));
  return file;
}

/** Writes weights and report, and prints the result. */
async function finish(
  job: Job,
  run: Trainer,
  last: Evaluation | undefined,
  { options, terminal, signal, say, started }: RunContext,
): Promise<void> {
  const { model, data, preset, settings, out } = job;
  const best = options.patience !== undefined;
  const weights = await usableWeights(job, run, best);
  const { prepare, normalise, views } = preparationOf(settings.augment, preset, data);
  const evaluateOn = (dataset: Dataset): Promise<Evaluation> =>
    evaluate({
      model,
      weights,
      input: inputOf(job),
      dataset,
      backend: options.backend,
      threads: options.threads,
      signal,
      prepare,
      normalise,
      views,
    });
  const evaluation = data.validation && (best || !last) ? await evaluateOn(data.validation) : last;
  const test = data.test && (await evaluateOn(data.test));
  const file = await writeModel(job, weights);
  await writeReport(job, run, evaluation, test);
  const useless = [evaluation, test].find((each) => each && !Number.isFinite(each.loss));
  if (useless)
    throw new Error(
      `The evaluation loss of the final weights is ${useless.loss}: ${notFinite} The weights are in ${file}, the report is ${join(out, 'report.html')}.`,
    );
  const milliseconds = performance.now() - started;
  if (options.json) {
    const result = {
      ...settings,
      epochs: run.epoch,
      steps: run.step,
      backend: run.backend,
      threads: run.threads,
      seconds: milliseconds / 1000,
      history: run.history,
      classes: data.classes,
      weights: file,
      skipped: data.skipped,
      leftOut: data.leftOut,
      evaluation: evaluation && plain(evaluation),
      test: test && plain(test),
    };
    return printJson(terminal, result);
  }
  const place = run.backend ? ` on ${run.backend} (${threadsOf(run.threads!)})` : '';
  say(
    `${run.epoch} ${run.epoch === 1 ? 'epoch' : 'epochs'} in ${duration(milliseconds)}${place}.${evaluation ? ` ${evaluationLine(evaluation)}.` : ''}`,
  );
  if (test) say(`On the test pictures: ${evaluationLine(test)}.`);
  say(`The weights are in ${file}, the report is ${join(out, 'report.html')}. Use them:`);
  say(`  ${commandOf(`classify <picture> --weights ${quoted(file)}`)}`);
}

/** Gives an evaluation as it is written in JSON. */
const plain = (evaluation: Evaluation): object => ({
  ...evaluation,
  topK: Object.fromEntries(evaluation.topK),
});

/** Writes the report of a run, and its curves. */
async function writeReport(
  { data, preset, settings, out }: Job,
  run: Trainer,
  evaluation: Evaluation | undefined,
  test?: Evaluation,
): Promise<void> {
  const { history, backend, threads } = run;
  const facts = {
    ...Object.fromEntries(
      Object.entries({ ...settings, options: settings.options.join(' ') }).map(([key, value]) => [
        flagOf(key),
        value,
      ]),
    ),
    'training pictures': data.train.size,
    'pictures for evaluation': data.validation?.size,
    'pictures left out': data.skipped.length,
    'changes of training pictures': preparationOf(settings.augment, preset, data).words,
    'test pictures': test && evaluationLine(test),
    'back end': backend,
    threads,
  };
  const title = `${settings.model} on ${data.kind}`;
  await writeResult(
    join(out, 'report.html'),
    reportPage({ title, facts, history, evaluation, labels: data.classes }),
  );
  if (history.length > 0) await writeResult(join(out, 'curves.svg'), curves(history));
}
