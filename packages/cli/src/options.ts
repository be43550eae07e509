/** Reads what is typed after an option: shapes, numbers, and the options of a model. */
import { hardSwish, leakyRelu, type Node, relu, relu6, sigmoid, silu, tanh } from '@cnn/core';
import { UsageError } from './errors.js';

const activations: Readonly<Record<string, (x: Node) => Node>> = {
  relu,
  relu6,
  silu,
  hardSwish,
  sigmoid,
  tanh,
};

/** `1x3x224x224` as a shape. */
export function parseShape(text: string): readonly number[] {
  const shape = text.split('x').map(Number);
  if (shape.length < 2 || !shape.every((extent) => Number.isInteger(extent) && extent > 0))
    throw new UsageError(`'${text}' is not a shape; write it as 1x3x224x224.`);
  return shape;
}

/** A whole number from 1 up. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1)
    throw new UsageError(`'${text}' is not a whole number from 1 up.`);
  return count;
}

/** `width=0.25`, `activation=leakyRelu:0.1`, ... as the options of a model. */
export function parseModelOptions(pairs: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [key, value] = pair.split(/=(.*)/s) as [string, string | undefined];
      if (!key || value === undefined)
        throw new UsageError(`'${pair}' is not an option of a model; write it as width=0.25.`);
      return [key, parseValue(key, value)];
    }),
  );
}

function parseValue(key: string, value: string): unknown {
  if (key === 'activation') {
    const [name, slope] = value.split(':') as [string, string | undefined];
    if (name === 'leakyRelu') return leakyRelu(slope === undefined ? 0.01 : Number(slope));
    const activation = activations[name];
    if (!activation)
      throw new UsageError(
        `There is no activation '${value}'; use ${Object.keys(activations).join(', ')} or leakyRelu:0.1.`,
      );
    return activation;
  }
  if (value === 'true' || value === 'false') return value === 'true';
  return value !== '' && Number.isFinite(Number(value)) ? Number(value) : value;
}
