/** `cnn train <model> --data <folder>`: trains a network from scratch. */
import { join } from 'node:path';
import { initialise } from '@cnn/core';
import { UsageError } from '../errors.js';
import { buildModel, parseModelOptions } from '../modelOptions.js';
import { readingOf } from '../openModel.js';
import { findModel } from '../registry.js';
import type { Terminal } from '../terminal.js';
import { openTrainingData } from '../training/data.js';
import type { TrainingOptions } from '../training/options.js';
import { claimFolder, requireOut, runTraining } from '../training/session.js';
import { presetOf, requireSize, settingsOf } from '../training/settings.js';

/** Trains a model for the classes of the data. */
export async function train(
  name: string,
  options: TrainingOptions,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<void> {
  const { entry } = await findModel(name);
  const typed = parseModelOptions(options.option);
  if ('numClasses' in typed)
    throw new UsageError("The number of classes follows from the data; leave '--option numClasses' out.");
  const reading = readingOf(entry);
  const settings = settingsOf(name, options, { augment: 'standard', size: reading.preset.crop });
  const out = options.out ?? join('runs', name);
  await requireOut(out, options.resume ?? false, settings);
  const channels = Number(typed.inChannels ?? reading.preset.mean.length);
  const plain = { mean: new Array<number>(channels).fill(0), std: new Array<number>(channels).fill(1) };
  const preset = presetOf(
    channels === reading.preset.mean.length ? reading.preset : { ...reading.preset, ...plain },
    settings.size,
  );
  requireSize(name, buildModel(entry, typed), preset, reading.preset.crop);
  const { onBadImage } = options;
  const choosing = options.patience !== undefined || settings.schedule === 'plateau';
  const request = { ...settings, preset, onBadImage, choosing };
  const data = await openTrainingData(request, terminal, signal);
  await using folder = await claimFolder(out, options.resume ?? false, settings);
  folder.requireSameData(data);
  const model = buildModel(entry, { ...typed, numClasses: data.classes.length });
  const weights = initialise(model, { seed: settings.seed });
  await runTraining({ model, weights, data, preset, settings, out }, options, terminal, signal);
}
