/** Summarises a model as a table: output shape, number of parameters and multiply-adds of each op. */
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
  /** Path of its module, `'layer1.0.conv1'`; `''` for the model itself. */
  readonly path: string;
  readonly op: string;
  /** Output shape, batch first. */
  readonly shape: Shape;
  /** Number of trainable values, without those counted in an earlier row. */
  readonly parameters: number;
  /** Multiply-adds of convolutions and linear layers, for the whole batch. */
  readonly macs: number;
}

/** The table and its totals. */
export interface Summary {
  readonly input: Shape;
  readonly output: Shape;
  readonly rows: readonly SummaryRow[];
  /** Number of trainable values of the model. */
  readonly parameters: number;
  /** Multiply-adds of convolutions and linear layers for one picture. */
  readonly macs: number;
  /** Formats the table as text. */
  toString(): string;
}

/**
 * Summarises a model for inference, one row an op, without running it.
 * @param inputShape - batch first: n x c x h x w for images.
 * @throws ShapeError with the module's path if the input does not fit.
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

/** Writes a number with its digits in groups of three: 11,689,512. */
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
