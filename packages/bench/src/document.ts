/**
 * Writes docs/benchmarks.md: the method, the tables, and the experiments, whose text is in the folder
 * `notes`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CORE_SOURCES, type DatedRow, type Records } from './records.js';
import type { Suite } from './suite.js';
import { suites } from './suites.js';
import { markdown, summaryOf, tablesOf } from './tables.js';

const notes = fileURLToPath(new URL('../notes', import.meta.url));

/** Text for machines with AVX-512. */
const avx512Text = `
This machine has AVX-512, so onnxruntime-node and PyTorch compute with 512-bit vectors. WebAssembly reaches at most
256 bits (in Node 24, where V8 joins pairs of 128-bit instructions) and 128 bits in Node 20 and in browsers.
\`onnxruntime-node, 256-bit\` and \`PyTorch, 256-bit\` are the same libraries limited to AVX2: they compare the engines
at the vector width that JavaScript reaches, as on processors without AVX-512. PyTorch has settings for this;
onnxruntime-node has none, so a copy is patched to detect no AVX-512. The targets were set on a processor with 256-bit
vectors. They are shown for both variants; with AVX-512 most are missed.
`;

/**
 * Returns the document. Suites without rows are left out.
 * @param chart - file name of the chart, if there is one.
 */
export function documentOf({ machine, versions, rows }: Records, chart?: string): string {
  const measured = suites.flatMap((suite) => (rows[suite.id] ? [[suite, rows[suite.id]!] as const] : []));
  const named = Object.entries(versions).map(([name, version]) => `${name.replace(/ \d+$/, '')} ${version}`);
  // PyTorch's version is not known before it runs: it is a note of its results.
  const results = measured.flatMap(([, dated]) =>
    Object.values(dated).flatMap(({ results }) => Object.values(results)),
  );
  const torch = results.find(({ notes }) => notes?.startsWith('PyTorch'))?.notes;
  if (torch) named.push(torch);
  const dates = [...new Set(measured.flatMap(([, dated]) => [...datesOf(dated).keys()]))];
  const abouts = new Map<string, string>();
  const sections = measured.map(([suite, dated]) => {
    const before = suite.about && abouts.get(suite.about);
    if (suite.about && !before) abouts.set(suite.about, suite.title);
    const about = before ? `Measured like ${before}.` : suite.about;
    return section({ ...suite, about }, dated, dates.length > 1);
  });
  return `# Benchmarks

\`npm run bench\` generates this page; see [packages/bench](../packages/bench/README.md). "Ours" is \`@cnn\`. All
contenders compute in float32 on the same networks, weights and inputs. The weights are synthetic, which does not
affect the times.

- Machine: ${machine.processor}, ${machine.cores} cores, ${machine.memory} GB, ${machine.system}${machine.vectors ? `, vector instructions ${machine.vectors}` : ''}.
- Versions: ${named.join(', ')}.
- Measured: ${dates.length > 1 ? 'at several dates, given in each section' : dates[0]}.${dates.some((date) => date.includes('core')) ? ` \`core\` is the revision of \`@cnn/core\`: \`git rev-parse HEAD:${CORE_SOURCES}\`.` : ''}

A ratio is our value divided by the peer's, of times (also for throughput), memory or kernels: below 1, ours is better.
The summary shows the geometric mean over the networks, and the networks with the lowest and the highest ratio:

${markdown(summaryOf(measured))}
${chart ? `\n![Speed relative to each peer](${chart})\n` : ''}
Each peer runs in a separate process or browser. First, all peers of a row are loaded and their outputs compared. The
deviation is the largest absolute difference between an output and ours; a peer that deviates by more than a
thousandth of the largest output is shown as failed. Then the peers are timed in the order A B C C B A, for 0.2 s each,
while the others are idle. Cells show median / minimum (for throughput: at the median and at the fastest run); ratios
are of minima. A target is the highest ratio that this project aimed for before it was built; ✓ and ✗ show whether it
is reached. Red marks in the chart are targets.
${machine.vectors.includes('avx512f') ? avx512Text : ''}
${sections.join('\n\n')}

## Experiments

${readNotes()}
`;
}

function section(suite: Suite, rows: Records['rows'][string], dated: boolean): string {
  const failures = Object.entries(rows).flatMap(([network, { results }]) =>
    Object.entries(results).flatMap(([name, { failure }]) =>
      failure ? [`- ${network}, ${name}: ${failure}`] : [],
    ),
  );
  const parts = [
    suite.about,
    ...tablesOf(suite, rows).flatMap(({ about, cells }) => [about ?? '', markdown(cells)]),
    dated ? datesLine(rows) : '',
    threadsOf(suite, rows),
    busyRows(rows),
    failures.join('\n'),
  ];
  return [`## ${suite.title}`, ...parts.filter(Boolean)].join('\n\n');
}

/** Dates and revisions of the rows, with the networks measured at each. */
function datesOf(rows: Records['rows'][string]): ReadonlyMap<string, readonly string[]> {
  const dates = new Map<string, string[]>();
  const dateOf = ({ date, core }: DatedRow): string => (core ? `${date}, core ${core}` : date);
  for (const [network, row] of Object.entries(rows)) {
    const date = dateOf(row);
    dates.set(date, [...(dates.get(date) ?? []), network]);
  }
  return dates;
}

function datesLine(rows: Records['rows'][string]): string {
  const dates = [...datesOf(rows)];
  const parts = dates.map(([date, networks]) =>
    dates.length > 1 ? `${date}: ${networks.join(', ')}` : date,
  );
  return `Measured: ${parts.join('; ')}.`;
}

/** Lists the default number of threads of each contender; empty if the suite sets the number. */
function threadsOf({ threads, contenders }: Suite, rows: Records['rows'][string]): string {
  if (threads !== undefined) return '';
  const used = contenders.flatMap(({ name }) => {
    const counts = new Set(Object.values(rows).flatMap(({ results }) => results[name]?.threads || []));
    return counts.size > 0 ? [`${name} ${[...counts].join(' or ')}`] : [];
  });
  return used.length > 0 ? `Threads: ${used.join(', ')}.` : '';
}

/** Lists rows whose times are unreliable because other programs were running. */
function busyRows(rows: Records['rows'][string]): string {
  const busy = Object.entries(rows).flatMap(([network, { busy }]) =>
    busy ? [`${network} (${Math.round(100 * busy)} % of the cores)`] : [],
  );
  return busy.length > 0 ? `Measured while other programs used the machine: ${busy.join(', ')}.` : '';
}

/** Reads the notes: the files of the folder in the order of their names. */
function readNotes(): string {
  const files = readdirSync(notes).filter((file) => file.endsWith('.md'));
  return files
    .toSorted()
    .map((file) => readFileSync(join(notes, file), 'utf8').trim())
    .join('\n\n');
}
