/** `cnn list`: lists the models of the installed families, and how to install the others. */
import { allFamilies } from '../registry.js';
import { printJson, type Terminal, table } from '../terminal.js';

/** Prints the models, as a table or as JSON. */
export async function list({ json }: { readonly json?: boolean }, terminal: Terminal): Promise<void> {
  const families = await allFamilies();
  const models = families.flatMap(({ family, loaded }) =>
    Object.values(loaded?.models ?? {}).map(({ name, input, parameters, macs, weights }) => ({
      name,
      family,
      input,
      parameters,
      macs,
      weights: Object.entries(weights).map(([key, { url, top1, top5 }]) => ({ name: key, url, top1, top5 })),
    })),
  );
  const missing = families
    .filter(({ loaded }) => !loaded)
    .map(({ family, install }) => ({ family, install }));
  if (json) return printJson(terminal, { models, missing });
  terminal.print(
    table(
      [
        ['model', 'parameters', 'million MACs', 'top-1, %', 'published weights, the default first'],
        ...models.map(({ name, parameters, macs, weights }) => [
          name,
          parameters.toLocaleString('en-US'),
          (macs / 1e6).toLocaleString('en-US', { minimumFractionDigits: 1, maximumFractionDigits: 1 }),
          weights[0]?.top1?.toFixed(2) ?? '-',
          weights.map((record) => record.name).join(', ') || '-',
        ]),
      ],
      [1, 2, 3],
    ),
  );
  for (const { family, install } of missing) terminal.print(`@cnn/${family} is not installed: ${install}`);
}
