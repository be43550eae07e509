/** A training run on disk: goes on where it stopped, shows how it fares, saves itself when it is interrupted. */
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Module, type Transform, type Weights, writeAtomically, writeSafetensors } from '@cnn/core';
import {
  type Evaluation,
  evaluate,
  type ParameterGroup,
  type Trainer,
  TrainingDiverged,
  trainer,
} from '@cnn/train';
import { UsageError } from '../errors.js';
import { parseCount } from '../options.js';
import { metadataOf } from '../savedModel.js';
import { noteFallback, type Terminal } from '../terminal.js';
import { curves } from './chart.js';
import type { LabelledData } from './data.js';
import { duration, trainingProgress } from './progress.js';
import { evaluationLine, reportPage } from './report.js';
import {
  optimizerOf,
  preparationOf,
  requireSame,
  type Settings,
  scheduleOf,
  type TrainingOptions,
} from './settings.js';

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

/** The command line that goes on with a run. */
export function resumeLine(args: readonly string[], out: string): string {
  const quoted = (text: string): string =>
    /^[\w./:=@,+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
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
  const { model, weights, data, preset, settings, out, freeze = [], groups = [] } = job;
  const epochs = parseCount(options.epochs);
  const preparation = preparationOf(settings.augment, preset, data.train);
  const checkpoint = join(out, CHECKPOINT);
  const say = (line: string): void => (options.json ? terminal.note(line) : terminal.print(line));
  const around: Surroundings = { options, terminal, signal, say, started: performance.now() };
  await mkdir(out, { recursive: true });
  await writeText(join(out, SETTINGS), `${JSON.stringify(settings, null, 2)}\n`);
  await using run = trainer({
    ...{ model, weights, input: inputOf(job), seed: settings.seed, backend: options.backend },
    ...{ optimizer: optimizerOf(settings), schedule: scheduleOf(settings, epochs), freeze, groups },
    ...preparation,
    cacheFeatures: settings.freeze === 'trunk' && !preparation.augment,
    ...(options.threads ? { threads: parseCount(options.threads) } : {}),
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
    terminal.note(
      `Stopped after ${run.step} steps, in epoch ${run.epoch + 1}; the state is in ${checkpoint}. Go on with:\n  ${resumeLine(options.args, out)}`,
    );
    throw error;
  }
}

/** Makes the epochs that are left. Gives the evaluation of the last one. */
async function fit(
  job: Job,
  run: Trainer,
  { epochs, checkpoint }: { readonly epochs: number; readonly checkpoint: string },
  { options, terminal, signal, say }: Surroundings,
): Promise<Evaluation | undefined> {
  const { data } = job;
  const show = trainingProgress(terminal, epochs, say);
  let evaluation: Evaluation | undefined;
  let told = false;
  for await (const progress of run.fit(data.train, {
    epochs,
    ...(data.test ? { validation: data.test } : {}),
    ...(options.patience === undefined
      ? {}
      : { earlyStopping: { patience: parseCount(options.patience), monitor: 'accuracy' } }),
    checkpoint: { path: checkpoint },
    ...(signal ? { signal } : {}),
  })) {
    if (!told)
      noteFallback(terminal, options.backend, {
        backend: run.backend ?? '',
        fallbackReason: run.fallbackReason,
      });
    told = true;
    show(progress);
    if (!progress.epochDone) continue;
    evaluation = progress.validation;
    await writeReport(job, run, evaluation);
    if (progress.stopped) say(`No better result for ${options.patience} epochs; the best weights are kept.`);
  }
  terminal.progress('');
  return evaluation;
}

/** Writes the weights and what is known of them, and says how to use them. */
async function finish(
  job: Job,
  run: Trainer,
  last: Evaluation | undefined,
  { options, terminal, signal, say, started }: Surroundings,
): Promise<void> {
  const { model, data, preset, settings, out } = job;
  const best = options.patience !== undefined;
  const weights = await (best ? run.bestWeights() : run.weights());
  const evaluation =
    data.test && (best || !last)
      ? await evaluate({
          ...{ model, weights, input: inputOf(job), dataset: data.test, backend: options.backend, signal },
          ...preparationOf(settings.augment, preset, data.train),
        })
      : last;
  const file = join(out, 'model.safetensors');
  const { model: name, options: typed } = settings;
  const description = { model: name, options: typed, classes: data.classes, transform: preset };
  await writeAtomically(file, writeSafetensors(weights, metadataOf(description)));
  await writeReport(job, run, evaluation);
  const milliseconds = performance.now() - started;
  if (options.json) {
    const result = {
      ...settings,
      ...{ epochs: run.epoch, steps: run.step, backend: run.backend, threads: run.threads },
      ...{ seconds: milliseconds / 1000, history: run.history, classes: data.classes, weights: file },
      skipped: data.skipped,
      evaluation: evaluation && { ...evaluation, topK: Object.fromEntries(evaluation.topK) },
    };
    return terminal.print(JSON.stringify(result, null, 2));
  }
  const place = run.backend
    ? ` on ${run.backend} (${run.threads} ${run.threads === 1 ? 'thread' : 'threads'})`
    : '';
  say(
    `${run.epoch} epochs in ${duration(milliseconds)}${place}.${evaluation ? ` ${evaluationLine(evaluation)}.` : ''}`,
  );
  say(`The weights are in ${file}, the report is ${join(out, 'report.html')}. Use them:`);
  say(`  cnn classify <picture> --weights ${file}`);
}

/** Writes the page of a run and its curves. */
async function writeReport(
  { data, settings, out }: Job,
  run: Trainer,
  evaluation: Evaluation | undefined,
): Promise<void> {
  const { history, backend, threads } = run;
  const facts = {
    ...{ ...settings, options: settings.options.join(' ') },
    'training pictures': data.train.size,
    'pictures for evaluation': data.test?.size,
    'pictures left out': data.skipped.length,
    ...{ 'back end': backend, threads },
  };
  const title = `${settings.model} on ${data.kind}`;
  await writeText(
    join(out, 'report.html'),
    reportPage({ title, facts, history, evaluation, labels: data.classes }),
  );
  if (history.length > 0) await writeText(join(out, 'curves.svg'), curves(history));
}
