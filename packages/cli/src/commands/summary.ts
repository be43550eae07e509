/** `cnn summary <model>`: output shape, parameters and multiply-adds of each layer. */
import { summary as summarise } from '@cnn/core';
import { buildModel, parseModelOptions } from '../modelOptions.js';
import { findModel } from '../registry.js';
import { printJson, type Terminal } from '../terminal.js';

/** Options of the command. */
export interface SummaryOptions {
  readonly input?: readonly number[];
  readonly option: readonly string[];
  readonly json?: boolean;
}

/** Prints the table of a model, or its rows as JSON. */
export async function summary(name: string, options: SummaryOptions, terminal: Terminal): Promise<void> {
  const { entry } = await findModel(name);
  const model = buildModel(entry, parseModelOptions(options.option));
  const result = summarise(model, options.input ?? entry.input);
  if (options.json) printJson(terminal, { model: name, ...result });
  else terminal.print(String(result));
}
