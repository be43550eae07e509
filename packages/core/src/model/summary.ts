/** A model as a table: what each layer puts out, how many parameters it has and how much it computes. */
import type { Node } from '../graph/graph.js';
import { isParameter } from '../graph/graph.js';
import type { Module } from '../nn/module.js';
import { trace } from '../nn/trace.js';
import { countParameters } from '../nn/walk.js';
import { definitionOf } from '../ops/index.js';
import { forInference } from '../passes/forInference.js';
import { prune } from '../passes/prune.js';
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js';

/** One op of the model. */
export interface SummaryRow {
  /** Path of the module. */
  readonly path: string;
  readonly op: string;
  /** Output shape, batch first. */
  readonly shape: Shape;
  /** Trainable values that are used here for the first time. */
  readonly parameters: number;
  /** Multiply-adds of convolutions and linear layers, for the whole batch. */
  readonly macs: number;
}

/** The table and its totals. */
export interface Summary {
  readonly input: Shape;
  readonly output: Shape;
  readonly rows: readonly SummaryRow[];
  /** Trainable values of the whole model. */
  readonly parameters: number;
  /** Multiply-adds of one picture. */
  readonly macs: number;
  /** The table as text. */
  toString(): string;
}

/**
 * What a model does with one input shape, op by op, without running it.
 * @example
 * console.log(String(summary(model, [1, 1, 32, 32])));
 */
export function summary(model: Module, inputShape: Shape): Summary {
  const graph = prune(forInference(trace(model, inputShape)));
  const counted = new Set<Node>();
  const rows = graph.nodes.flatMap((node): SummaryRow[] => {
    if (node.inputs.length === 0) return [];
    const fresh = node.inputs.filter(
      (input) => isParameter(input) && input.attrs.trainable && !counted.has(input),
    );
    for (const input of fresh) counted.add(input);
    const shapes = node.inputs.map((input) => input.shape);
    return [
      {
        path: node.path,
        op: node.op === 'activation' ? String(Reflect.get(node.attrs, 'fn')) : node.op,
        shape: node.shape,
        parameters: fresh.reduce((sum, input) => sum + sizeOf(input.shape), 0),
        macs: definitionOf(node).macs?.(shapes, node.shape, node.attrs) ?? 0,
      },
    ];
  });
  const result = {
    input: inputShape,
    output: graph.output.shape,
    rows,
    parameters: countParameters(model),
    macs: rows.reduce((sum, row) => sum + row.macs, 0) / inputShape[0]!,
  };
  return { ...result, toString: () => formatSummary(result) };
}

/** 11,689,512: digits in groups of three. */
const grouped = (value: number): string => value.toLocaleString('en-US');

function formatSummary({ input, output, rows, parameters, macs }: Omit<Summary, 'toString'>): string {
  const table = [
    ['module', 'op', 'output', 'parameters', 'MACs'],
    ...rows.map((row) => [
      row.path || '-',
      row.op,
      formatShape(row.shape),
      row.parameters ? grouped(row.parameters) : '',
      row.macs ? grouped(row.macs) : '',
    ]),
  ];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...table.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column < 3 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd();
  const rule = '-'.repeat(widths.reduce((sum, width) => sum + width + 2, -2));
  const [head, ...body] = table.map(line);
  return [
    head,
    rule,
    ...body,
    rule,
    `input ${formatShape(input)}, output ${formatShape(output)}`,
    `${grouped(parameters)} trainable parameters, ${(macs / 1e6).toLocaleString('en-US', { maximumSignificantDigits: 4 })} million multiply-adds a picture`,
  ].join('\n');
}
