/** A training run on disk: goes on where it stopped, shows how it fares, saves itself when it is interrupted. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Module, type Transform, type Weights, writeAtomically, writeSafetensors } from '@cnn/core';
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

/** What is trained, and on what. */
export interface Job {
  readonly model: Module;
  readonly weights: Weights;
  readonly data: LabelledData;
  readonly preset: Transform;
  readonly settings: Settings;
  readonly out: string;
  /** Parameters that stay as they are. */
  readonly freeze?: readonly string[];
  readonly groups?: readonly ParameterGroup[];
}

const writeText = (path: string, text: string): Promise<void> =>
  writeAtomically(path, new TextEncoder().encode(text));
const CHECKPOINT = 'checkpoint.safetensors';
const SETTINGS = 'run.json';
const MODEL = 'model.safetensors';

/**
 * Looks at the folder of the run before anything is loaded.
 * @throws UsageError where it holds a run that is not asked to go on, or none that could.
 */
export async function requireOut(out: string, resume: boolean, settings: Settings): Promise<void> {
  const exists = existsSync(join(out, CHECKPOINT));
  if (resume && !exists)
    throw new UsageError(`There is no run to go on with: ${join(out, CHECKPOINT)} does not exist.`);
  if (exists && !resume)
    throw new UsageError(
      `${out} holds a run already. Add --resume to go on with it, or give another folder with --out.`,
    );
  if (!resume) return;
  const text = await readFile(join(out, SETTINGS), 'utf8').catch((error: Error) => {
    throw new UsageError(`The settings of the run in ${out} cannot be read: ${error.message}.`);
  });
  let before: Settings;
  try {
    before = JSON.parse(text) as Settings;
  } catch {
    throw new UsageError(`${join(out, SETTINGS)} is not JSON; the run cannot go on without its settings.`);
  }
  requireSame(before, settings, out);
}

/** A word as a shell takes it. */
const quoted = (text: string): string =>
  /^[\w./:=@,+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** The command line that goes on with a run. */
export function resumeLine(args: readonly string[], out: string): string {
  const given = args.some((word) => word === '--out' || word.startsWith('--out='));
  const words = args.filter((word) => word !== '--resume');
  return ['cnn', ...words, ...(given ? [] : ['--out', out]), '--resume'].map(quoted).join(' ');
}

/** What a run needs of its surroundings. */
interface Surroundings {
  readonly options: TrainingOptions;
  readonly terminal: Terminal;
  readonly signal: AbortSignal | undefined;
  /** Takes lines of the result: to the standard output, or beside it where that is JSON. */
  readonly say: (line: string) => void;
  readonly started: number;
}

/** The shape of a batch. */
const inputOf = ({ settings, data, preset }: Job): readonly number[] => [
  Math.min(settings.batch, data.train.size),
  preset.mean.length,
  preset.crop,
  preset.crop,
];

/** Trains to the end, and writes weights, checkpoint and report into the folder of the run. */
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
  const around: Surroundings = { options, terminal, signal, say, started: performance.now() };
  const [pictures] = inputOf(job) as [number];
  if (pictures < settings.batch)
    terminal.note(`A step has all ${pictures} pictures that there are to train with, not ${settings.batch}.`);
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
    say(`Going on after ${run.step} steps, in epoch ${run.epoch + 1}.`);
  }
  try {
    const evaluation = await fit(job, run, { epochs, checkpoint }, around);
    await finish(job, run, evaluation, around);
  } catch (error) {
    terminal.progress('');
    if (error instanceof TrainingDiverged && existsSync(checkpoint))
      terminal.note(`The state after the last whole epoch is in ${checkpoint}.`);
    if (!signal?.aborted) throw error;
    await run.save(checkpoint);
    const usable = run.epoch > 0 ? `, the weights after epoch ${run.epoch} in ${join(out, MODEL)}` : '';
    terminal.note(
      `Stopped after ${run.step} steps, in epoch ${run.epoch + 1}; the state is in ${checkpoint}${usable}. Go on with:\n  ${resumeLine(options.args, out)}`,
    );
    throw error;
  }
}

/** Makes the epochs that are left. Gives the evaluation of the last one. */
async function fit(
  job: Job,
  run: Trainer,
  { epochs, checkpoint }: { readonly epochs: number; readonly checkpoint: string },
  { options: { backend, patience }, terminal, signal, say }: Surroundings,
): Promise<Evaluation | undefined> {
  const { data } = job;
  const show = trainingProgress(terminal, epochs, say);
  let evaluation: Evaluation | undefined;
  let told = false;
  for await (const progress of run.fit(data.train, {
    epochs,
    validation: data.test,
    earlyStopping: patience === undefined ? undefined : { patience, monitor: 'accuracy' },
    checkpoint: { path: checkpoint },
    signal,
  })) {
    if (!told)
      noteFallback(terminal, backend, {
        backend: run.backend ?? '',
        fallbackReason: run.fallbackReason,
      });
    told = true;
    show(progress);
    if (!progress.epochDone) continue;
    evaluation = progress.validation;
    await writeModel(job, await usableWeights(job, run, patience !== undefined));
    await writeReport(job, run, evaluation);
    if (progress.stopped) say(`No better result for ${patience} epochs; the best weights are kept.`);
  }
  terminal.progress('');
  return evaluation;
}

/** The weights to keep: the best ones where a run may end early, averaged ones where there are, else the last. */
const usableWeights = ({ settings }: Job, run: Trainer, best: boolean): Promise<Weights> =>
  best ? run.bestWeights() : settings.ema === undefined ? run.weights() : run.averagedWeights();

/** Writes weights with what is known of them. Gives the path. */
async function writeModel({ data, preset, settings, out }: Job, weights: Weights): Promise<string> {
  const { model } = settings;
  // Fine-tuning may have started with another number of classes than there are now.
  const options = settings.options.filter((pair) => !pair.startsWith('numClasses='));
  const description = { model, options, classes: data.classes, transform: preset };
  const file = join(out, MODEL);
  await writeAtomically(file, writeSafetensors(weights, metadataOf(description)));
  return file;
}

/** Writes the weights and the report, and says how to use them. */
async function finish(
  job: Job,
  run: Trainer,
  last: Evaluation | undefined,
  { options, terminal, signal, say, started }: Surroundings,
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

/** Writes the page of a run and its curves. */
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
