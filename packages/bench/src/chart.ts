/** Draws docs/benchmarks.svg: for each network, a bar with the speed of @cnn relative to each peer. */
import type { DatedRow, Records } from './records.js';
import type { Suite } from './suite.js';
import { suites } from './suites.js';
import { measuredContenders, ratioOf } from './tables.js';

/** Ids of the suites shown, one panel each. */
const shownSuites = ['node24', 'node20', 'chromium'];

const [WIDTH, NAMES, BAR, GAP] = [720, 170, 13, 9] as const;
const colours = ['#2a9d8f', '#e9a23b'];

const text = (x: number, y: number, content: string, attributes = ''): string =>
  `<text x="${x}" y="${y}" ${attributes}>${content}</text>`;

/** Returns the chart as SVG; undefined if none of its suites has been measured. */
export function chartOf({ rows }: Records): string | undefined {
  const parts: string[] = [];
  let y = 10;
  for (const suite of suites) {
    const measured = rows[suite.id];
    if (!shownSuites.includes(suite.id) || !measured) continue;
    const panel = panelOf(suite, measured, y);
    parts.push(panel.svg);
    y = panel.bottom + 30;
  }
  if (parts.length === 0) return undefined;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" font-family="system-ui, sans-serif" font-size="12">
<title>Speed of each network relative to its peers</title>
<style>text{fill:#333}.quiet{fill:#777}.line{stroke:#999}.target{stroke:#c0392b;stroke-width:2}@media(prefers-color-scheme:dark){text{fill:#ddd}.quiet{fill:#999}}</style>
${parts.join('\n')}
</svg>
`;
}

/** Draws the panel of one suite: a colour for each peer, and a red mark at each target. */
function panelOf(
  suite: Suite,
  rows: Readonly<Record<string, DatedRow>>,
  top: number,
): { svg: string; bottom: number } {
  const own = suite.contenders[0]!;
  const peers = measuredContenders(suite, rows).filter(({ peer }) => peer !== own.peer);
  const networks = suite.networks.map(({ name }) => name).filter((name) => rows[name]);
  const bars = networks.flatMap((network) =>
    peers.map(({ name }, index) => {
      const ratio = ratioOf('time', rows[network]!.results[own.name], rows[network]!.results[name]);
      const target = suite.tables
        .flatMap(({ targets = [] }) => targets)
        .find(({ contenders }) => contenders.includes(name))?.networks[network];
      return { network, index, speed: ratio && 1 / ratio, target: target && 1 / target };
    }),
  );
  const longest = Math.max(...bars.map(({ speed, target }) => Math.max(speed ?? 0, target ?? 0)), 1);
  const at = (speed: number): number => NAMES + (speed / longest) * (WIDTH - NAMES - 60);
  const lines = [
    text(0, top + 12, suite.title, 'font-weight="bold"'),
    text(NAMES - 8, top + 32, 'times as fast as', 'text-anchor="end"'),
  ];
  for (const [index, { name }] of peers.entries()) {
    const x = NAMES + index * 150;
    lines.push(`<rect x="${x}" y="${top + 23}" width="10" height="10" fill="${colours[index]}"/>`);
    lines.push(text(x + 15, top + 32, name));
  }
  let y = top + 46;
  const first = y;
  for (const { network, index, speed, target } of bars) {
    if (index === 0)
      lines.push(text(NAMES - 8, y + (BAR * peers.length) / 2 + 4, network, 'text-anchor="end"'));
    if (speed) {
      const width = (at(speed) - NAMES).toFixed(1);
      lines.push(
        `<rect x="${NAMES}" y="${y}" width="${width}" height="${BAR - 1}" fill="${colours[index]}"/>`,
      );
      lines.push(text(Math.round(at(speed)) + 6, y + 10, speed.toFixed(2), 'class="quiet" font-size="10"'));
    } else lines.push(text(NAMES + 4, y + 10, 'no result', 'class="quiet" font-size="10"'));
    if (target)
      lines.push(
        `<path class="target" d="M${at(target).toFixed(1)} ${y - 1}v${BAR + 1}"><title>target</title></path>`,
      );
    y += BAR + (index === peers.length - 1 ? GAP : 0);
  }
  lines.push(
    `<path class="line" stroke-dasharray="3 3" d="M${at(1).toFixed(1)} ${first - 4}V${y - GAP + 4}"/>`,
  );
  return { svg: lines.join('\n'), bottom: y };
}
