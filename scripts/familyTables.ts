/**
 * Writes the table of models into each family's README, between the two markers, from the registries:
 * `node scripts/script.mjs scripts/familyTables.ts`.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { formatShape } from '@cnn/core';
import { allFamilies, type Family } from '../packages/cli/src/registry.js';

const [begin, end] = ['<!-- models -->', '<!-- /models -->'];
const grouped = (value: number): string => value.toLocaleString('en-US');

/** The models as a Markdown table. */
function table(models: Family['models']): string {
  const rows = Object.values(models).map(({ name, input, parameters, macs, weights }) => {
    const [first] = Object.entries(weights);
    const source = first
      ? `${first[0]} (${new URL(first[1].url).hostname || 'in the package'})`
      : 'none published';
    const million = (macs / 1e6).toLocaleString('en-US', { maximumFractionDigits: macs < 1e8 ? 2 : 0 });
    return `| \`${name}\` | ${formatShape(input.slice(1))} | ${grouped(parameters)} | ${million} | ${first?.[1].top1 ?? '-'} | ${source} |`;
  });
  return [
    '| model | input | parameters | million MACs | top-1, % | default weights |',
    '| --- | --- | ---: | ---: | ---: | --- |',
    ...rows,
  ].join('\n');
}

for (const { family, loaded } of await allFamilies()) {
  const path = `packages/${family}/README.md`;
  const text = await readFile(path, 'utf8');
  const [head, rest = ''] = text.split(begin);
  const tail = rest.split(end)[1] ?? '';
  await writeFile(path, `${head}${begin}\n${table(loaded!.models)}\n${end}${tail}`);
}
