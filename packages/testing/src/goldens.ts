/** Reads the golden files: PyTorch's numbers for ops, models and training runs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Shape } from '@cnn/core';
import type { ModelGolden } from './modelGolden.js';

const repository = join(dirname(fileURLToPath(import.meta.url)), '../../..');

/** Returns the folder with real data (photos, checkpoints, MNIST); undefined if there is none. */
export function realData(): string | undefined {
  const folder = process.env.CNN_SHARED ?? join(repository, '../shared');
  return existsSync(join(folder, 'data')) ? join(folder, 'data') : undefined;
}

/** A tensor of an op golden, generated from its name, scale and offset. */
export interface GoldenInput {
  readonly shape: Shape;
  readonly scale: number;
  readonly offset: number;
}

/** A case of an op golden. */
export interface OpCase {
  readonly id: string;
  readonly op: string;
  /** Attributes by PyTorch's names; they depend on the op. */
  readonly attrs: object;
  readonly tensors: Readonly<Record<string, GoldenInput>>;
  readonly out: Readonly<Record<string, { readonly shape: Shape; readonly data: readonly number[] }>>;
}

/** Reads all cases of all ops. */
export function opCases(): readonly OpCase[] {
  const folder = join(repository, 'packages/testing/goldens/ops');
  return readdirSync(folder).flatMap(
    (file) => (JSON.parse(readFileSync(join(folder, file), 'utf8')) as { cases: OpCase[] }).cases,
  );
}

/** Reads a model golden from the package of a family. */
export const readModelGolden = (path: string): ModelGolden =>
  JSON.parse(readFileSync(path, 'utf8')) as ModelGolden;
