/** Runs a training with its files: resumes, shows progress, saves on an interrupt, writes the report. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Module, type Transform, type Weights, writeSafetensors } from '@cnn/core';
import { writeAtomically } from '@cnn/core/io';
import {
  crossEntropy,
  type Evaluation,
  evaluate,
  type ParameterGroup,
  type Trainer,
  TrainingDiverged,
  trainer,
} from '@cnn/train';
import { UsageError } from '../errors.js';
import { makeResultFolder } from '../files.js';
import { metadataOf } from '../savedModel.js';
import { noteFallback, printJson, type Terminal, threadsOf } from '../terminal.js';
import { curves } from './chart.js';
import { classWeightsFor } from './classWeights.js';
import type { LabelledData } from './data.js';
import type { TrainingOptions } from './options.js';
import { duration, trainingProgress } from './progress.js';
import { optimizers, preparationOf, schedules } from './recipes.js';
import { evaluationLine, reportPage } from './report.js';
import { flagOf, requireSame, type Settings } from './settings.js';

/** Model, data and settings of a run. */
export interface Job {
  readonly model: Module;
  readonly weights: Weights;
  readonly data: LabelledData;
  readonly preset: Transform;
  readonly settings: Settings;
  readonly out: string;
  /** Path prefixes of parameters that are not trained. */
  readonly freeze?: readonly string[];
  readonly groups?: readonly ParameterGroup[];
}

const writeText = (path: string, text: string): Promise<void> =>
  writeAtomically(path, new TextEncoder().encode(text));
const CHECKPOINT = 'checkpoint.safetensors';
const SETTINGS = 'run.json';
const MODEL = 'model.safetensors';

/**
 * Checks the folder of the run, before anything is loaded.
 * @throws UsageError if it holds a run but `resume` is false, or the other way round, or if settings differ.
 */
export async function requireOut(out: string, resume: boolean, settings: Settings): Promise<void> {
  const exists = existsSync(join(out, CHECKPOINT));
  if (resume && !exists)
    throw new UsageError(`There is no run to continue: ${join(out, CHECKPOINT)} does not exist.`);
  if (exists && !resume)
    throw new UsageError(
      `${out} already holds a run. Add --resume to continue it, or give another folder with --out.`,
    );
  if (!resume) return;
  const text = await readFile(join(out, SETTINGS), 'utf8').catch((error: Error) => {
    throw new UsageError(`The settings of the run in ${out} cannot be read: ${error.message}.`);
  });
  let before: Settings;
  try {
    before = JSON.parse(text) as Settings;
  } catch {
    throw new UsageError(`${join(out, SETTINGS)} is not JSON; the run cannot continue without its settings.`);
  }
  requireSame(before, settings, out);
}

/** Quotes a word for a shell, if necessary. */
const quoted = (text: string): string =>
  /^[\w./:=@,+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** Gives the command line that continues a run. */
export function resumeLine(args: readonly string[], out: string): string {
  const given = args.some((word) => word === '--out' || word.startsWith('--out='));
  const words = args.filter((word) => word !== '--resume');
  return ['cnn', ...words, ...(given ? [] : ['--out', out]), '--resume'].map(quoted).join(' ');
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
  const classWeights = await classWeightsFor(settings.classWeights, data.classes, data.train);
  const preparation = preparationOf(settings.augment, preset, data.train);
  const checkpoint = join(out, CHECKPOINT);
  const say = (line: string): void => (options.json ? terminal.note(line) : terminal.print(line));
  const context: RunContext = { options, terminal, signal, say, started: performance.now() };
  const [pictures] = inputOf(job) as [number];
  if (pictures < settings.batch)
    terminal.note(
      `A step has ${pictures} pictures, all that there are for training, instead of ${settings.batch}.`,
    );
  await makeResultFolder(out);
  await writeText(join(out, SETTINGS), `${JSON.stringify(settings, null, 2)}\n`);
  await using run = trainer({
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
    optimizer: optimizers[settings.optimizer].make({ learningRate, weightDecay }),
    schedule: schedules[settings.schedule](epochs),
    loss: crossEntropy({ labelSmoothing, classWeights }),
    ...preparation,
    cacheFeatures: settings.freeze === 'trunk' && !preparation.augment,
  });
  if (options.resume) {
    await run.restore(checkpoint);
    say(`Continuing after ${run.step} steps, in epoch ${run.epoch + 1}.`);
  }
  try {
    const evaluation = await fit(job, run, { epochs, checkpoint }, context);
    await finish(job, run, evaluation, context);
  } catch (error) {
    terminal.progress('');
    if (error instanceof TrainingDiverged && existsSync(checkpoint))
      terminal.note(`The state after the last complete epoch is in ${checkpoint}.`);
    if (!signal?.aborted) throw error;
    await run.save(checkpoint);
    const usable = run.epoch > 0 ? `, the weights after epoch ${run.epoch} in ${join(out, MODEL)}` : '';
    terminal.note(
      `Stopped after ${run.step} steps, in epoch ${run.epoch + 1}; the state is in ${checkpoint}${usable}. Continue with:\n  ${resumeLine(options.args, out)}`,
    );
    throw error;
  }
}

/** Trains the remaining epochs, and gives the evaluation of the last one. */
async function fit(
  job: Job,
  run: Trainer,
  { epochs, checkpoint }: { readonly epochs: number; readonly checkpoint: string },
  { options: { backend, patience }, terminal, signal, say }: RunContext,
): Promise<Evaluation | undefined> {
  const { data } = job;
  const show = trainingProgress(terminal, epochs, say);
  let evaluation: Evaluation | undefined;
  let noted = false;
  for await (const progress of run.fit(data.train, {
    epochs,
    validation: data.test,
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
    evaluation = progress.validation;
    await writeModel(job, await usableWeights(job, run, patience !== undefined));
    await writeReport(job, run, evaluation);
    if (progress.stopped) say(`No better accuracy for ${patience} epochs; the best weights are kept.`);
  }
  terminal.progress('');
  return evaluation;
}

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
  await writeAtomically(file, writeSafetensors(weights, metadataOf(description)));
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
  const evaluation =
    data.test && (best || !last)
      ? await evaluate({
          model,
          weights,
          input: inputOf(job),
          dataset: data.test,
          backend: options.backend,
          signal,
          ...preparationOf(settings.augment, preset, data.train),
        })
      : last;
  const file = await writeModel(job, weights);
  await writeReport(job, run, evaluation);
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
      evaluation: evaluation && { ...evaluation, topK: Object.fromEntries(evaluation.topK) },
    };
    return printJson(terminal, result);
  }
  const place = run.backend ? ` on ${run.backend} (${threadsOf(run.threads!)})` : '';
  say(
    `${run.epoch} ${run.epoch === 1 ? 'epoch' : 'epochs'} in ${duration(milliseconds)}${place}.${evaluation ? ` ${evaluationLine(evaluation)}.` : ''}`,
  );
  say(`The weights are in ${file}, the report is ${join(out, 'report.html')}. Use them:`);
  say(`  cnn classify <picture> --weights ${quoted(file)}`);
}

/** Writes the report of a run, and its curves. */
async function writeReport(
  { data, settings, out }: Job,
  run: Trainer,
  evaluation: Evaluation | undefined,
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
    'pictures for evaluation': data.test?.size,
    'pictures left out': data.skipped.length,
    'back end': backend,
    threads,
  };
  const title = `${settings.model} on ${data.kind}`;
  await writeText(
    join(out, 'report.html'),
    reportPage({ title, facts, history, evaluation, labels: data.classes }),
  );
  if (history.length > 0) await writeText(join(out, 'curves.svg'), curves(history));
}
