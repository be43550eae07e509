/** Writes docs/benchmarks.md: how it was measured, the tables, and what was tried, which is kept by hand in `notes`. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CORE, type DatedRow, type Records } from './records.js';
import type { Suite } from './suite.js';
import { suites } from './suites.js';
import { markdown, summaryOf, tablesOf } from './tables.js';

const notes = fileURLToPath(new URL('../notes', import.meta.url));

/** Said of machines with AVX-512. */
const wideMachine = `
This machine has AVX-512: onnxruntime-node and PyTorch compute with vectors of 512 bits, while WebAssembly
reaches 256 bits at most (Node 24, paired), and 128 bits in Node 20 and in browsers. \`onnxruntime-node, 256-bit\`
and \`PyTorch, 256-bit\` are the same libraries held to AVX2: they show how the engines compare at the width that
JavaScript reaches, and on processors without AVX-512. PyTorch has settings for that; of onnxruntime-node, which
has none, a copy is measured that does not see AVX-512. The targets were set on a processor that computes 256 bits
at a time. They stand beside both, and most are missed beside AVX-512.
`;

/** The document; suites without a row are left out. `picture` is a link to the picture, where there is one. */
export function documentOf({ machine, versions, rows }: Records, picture?: string): string {
  const measured = suites.flatMap((suite) => (rows[suite.id] ? [[suite, rows[suite.id]!] as const] : []));
  const named = Object.entries(versions).map(([name, version]) => `${name.replace(/ \d+$/, '')} ${version}`);
  // Python's says its version itself.
  const results = measured.flatMap(([, dated]) =>
    Object.values(dated).flatMap(({ results }) => Object.values(results)),
  );
  const torch = results.find(({ notes }) => notes?.startsWith('PyTorch'))?.notes;
  if (torch) named.push(torch);
  const times = [...new Set(measured.flatMap(([, dated]) => [...timesOf(dated).keys()]))];
  const abouts = new Map<string, string>();
  const sections = measured.map(([suite, dated]) => {
    const before = suite.about && abouts.get(suite.about);
    if (suite.about && !before) abouts.set(suite.about, suite.title);
    const about = before ? `Measured in the same way as ${before}.` : suite.about;
    return section({ ...suite, about }, dated, times.length > 1);
  });
  return `# Benchmarks

This page is generated: \`npm run bench\` measures and writes it, see
[packages/bench](../packages/bench/README.md). Everything is float32, on the same networks, weights and
inputs; the weights are made up, which changes no time.

- Machine: ${machine.processor}, ${machine.cores} cores, ${machine.memory} GB, ${machine.system}${machine.vectors ? `, vector instructions ${machine.vectors}` : ''}.
- Versions: ${named.join(', ')}.
- Measured: ${times.length > 1 ? 'not all at once; each section says when' : times[0]}.${times.some((time) => time.includes('core')) ? ` The state of \`@cnn/core\` is named by what \`git rev-parse HEAD:${CORE}\` says.` : ''}

A ratio is ours over the other's, of times (for throughput too), memory or kernels: below 1 ours is better. In
short, with the geometric mean over the networks and those with the least and the greatest ratio:

${markdown(summaryOf(measured))}
${picture ? `\n![How many times as fast as its peers](${picture})\n` : ''}
Each peer runs in a process (or browser) of its own. All peers of a row are loaded and compared first: the
deviation is the largest absolute difference of an output from ours, and a peer that differs by more than a
thousandth of the largest output is shown as failed. Then they take turns, A B C C B A, a fifth of a second
each, and sleep while others have their turn. Cells show median / minimum (throughput: of the median and the
best run); ratios are of minima. A target is the ratio that this project set out to reach at most, before it
was built; ✓ and ✗ say whether it is reached, and the picture has red marks there.
${machine.vectors.includes('avx512f') ? wideMachine : ''}
${sections.join('\n\n')}

## What was tried

${readNotes()}
`;
}

function section(suite: Suite, rows: Records['rows'][string], timed: boolean): string {
  const failures = Object.entries(rows).flatMap(([network, { results }]) =>
    Object.entries(results).flatMap(([name, { failure }]) =>
      failure ? [`- ${network}, ${name}: ${failure}`] : [],
    ),
  );
  const parts = [
    suite.about,
    ...tablesOf(suite, rows).flatMap(({ about, cells }) => [about ?? '', markdown(cells)]),
    timed ? timesLine(rows) : '',
    threadsOf(suite, rows),
    busyRows(rows),
    failures.join('\n'),
  ];
  return [`## ${suite.title}`, ...parts.filter(Boolean)].join('\n\n');
}

/** The days on which rows were measured and the states of the sources then, with the networks of each. */
function timesOf(rows: Records['rows'][string]): ReadonlyMap<string, readonly string[]> {
  const times = new Map<string, string[]>();
  const timeOf = ({ date, core }: DatedRow): string => (core ? `${date}, core ${core}` : date);
  for (const [network, row] of Object.entries(rows)) {
    const time = timeOf(row);
    times.set(time, [...(times.get(time) ?? []), network]);
  }
  return times;
}

function timesLine(rows: Records['rows'][string]): string {
  const times = [...timesOf(rows)];
  const parts = times.map(([time, networks]) =>
    times.length > 1 ? `${time}: ${networks.join(', ')}` : time,
  );
  return `Measured: ${parts.join('; ')}.`;
}

/** How many threads each contender took by itself; nothing where all were told. */
function threadsOf({ threads, contenders }: Suite, rows: Records['rows'][string]): string {
  if (threads !== undefined) return '';
  const used = contenders.flatMap(({ name }) => {
    const counts = new Set(Object.values(rows).flatMap(({ results }) => results[name]?.threads || []));
    return counts.size > 0 ? [`${name} ${[...counts].join(' or ')}`] : [];
  });
  return used.length > 0 ? `Threads: ${used.join(', ')}.` : '';
}

/** Rows whose times cannot be relied on. */
function busyRows(rows: Records['rows'][string]): string {
  const busy = Object.entries(rows).flatMap(([network, { busy }]) =>
    busy ? [`${network} (${Math.round(100 * busy)} % of the cores)`] : [],
  );
  return busy.length > 0 ? `Measured while other programs used the machine: ${busy.join(', ')}.` : '';
}

/** The notes by hand: the files of the folder in order of their names. */
function readNotes(): string {
  const files = readdirSync(notes).filter((file) => file.endsWith('.md'));
  return files
    .toSorted()
    .map((file) => readFileSync(join(notes, file), 'utf8').trim())
    .join('\n\n');
}
