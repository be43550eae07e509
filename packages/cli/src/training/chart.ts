/** Draws the curves of a training run as SVG: loss and accuracy by epoch, in training and evaluation. */
import type { EpochRecord } from '@cnn/train';
import { scaleLinear } from 'd3-scale';
import { line } from 'd3-shape';
import { escaped } from '../html.js';

const WIDTH = 420;
const HEIGHT = 280;
const margin = { top: 36, right: 16, bottom: 40, left: 52 };

interface Curve {
  readonly name: string;
  readonly colour: string;
  readonly points: readonly (readonly [epoch: number, value: number])[];
}

const curvesOf = (history: readonly EpochRecord[], value: 'loss' | 'accuracy'): readonly Curve[] =>
  [
    {
      name: 'training',
      colour: '#2b8ac6',
      points: history.map((record) => [record.epoch, record[value]] as const),
    },
    {
      name: 'evaluation',
      colour: '#e0483e',
      points: history.flatMap(({ epoch, validation }) =>
        validation ? [[epoch, validation[value]] as const] : [],
      ),
    },
  ]
    // There is no place for a loss of NaN or infinity.
    .map((curve) => ({ ...curve, points: curve.points.filter(([, point]) => Number.isFinite(point)) }))
    .filter(({ points }) => points.length > 0);

/** Draws a pair of axes with curves, `left` pixels from the edge. */
function panel(
  title: string,
  curves: readonly Curve[],
  left: number,
  format: (value: number) => string,
): string {
  const values = curves.flatMap(({ points }) => points.map(([, value]) => value));
  const epochs = curves.flatMap(({ points }) => points.map(([epoch]) => epoch));
  const last = Math.max(2, ...epochs);
  const x = scaleLinear([1, last], [margin.left, WIDTH - margin.right]);
  const [low, high] = values.length > 0 ? [Math.min(...values), Math.max(...values)] : [0, 1];
  const y = scaleLinear(low === high ? [low - 0.01, high + 0.01] : [low, high], [
    HEIGHT - margin.bottom,
    margin.top,
  ]).nice(6);
  const path = line<readonly [number, number]>(
    ([epoch]) => x(epoch),
    ([, value]) => y(value),
  ).digits(1);
  const grid = y
    .ticks(6)
    .map(
      (tick) =>
        `<line x1="${margin.left}" x2="${WIDTH - margin.right}" y1="${y(tick).toFixed(1)}" y2="${y(tick).toFixed(1)}" class="grid" stroke="#ddd"/><text x="${margin.left - 6}" y="${(y(tick) + 4).toFixed(1)}" text-anchor="end">${format(tick)}</text>`,
    );
  const below = x
    .ticks(Math.min(10, last))
    .filter(Number.isInteger)
    .map(
      (tick) =>
        `<text x="${x(tick).toFixed(1)}" y="${HEIGHT - margin.bottom + 16}" text-anchor="middle">${tick}</text>`,
    );
  const drawn = curves.map(
    ({ colour, points }) =>
      `<path d="${path(points) ?? ''}" fill="none" stroke="${colour}" stroke-width="2" stroke-linejoin="round"/>${points.map(([epoch, value]) => `<circle cx="${x(epoch).toFixed(1)}" cy="${y(value).toFixed(1)}" r="2.5" fill="${colour}"/>`).join('')}`,
  );
  const legend = curves.map(({ name, colour }) => `<tspan fill="${colour}">${name}</tspan>`);
  return `<g transform="translate(${left} 0)"><text x="${margin.left}" y="20" font-size="14" font-weight="bold">${escaped(title)}</text><text x="${WIDTH - margin.right}" y="20" text-anchor="end">${legend.join('&#160;&#160;&#160;')}</text>${grid.join('')}${below.join('')}<text x="${(margin.left + WIDTH - margin.right) / 2}" y="${HEIGHT - 6}" text-anchor="middle">epoch</text>${drawn.join('')}</g>`;
}

/** Dark colours for readers who prefer them; programs without style sheets show the light ones. */
const dark =
  '@media (prefers-color-scheme: dark) { .curves { fill: #ddd } .curves .paper { fill: #161616 } .curves .grid { stroke: #444 } }';

/** Gives the SVG of a run with at least one finished epoch. */
export function curves(history: readonly EpochRecord[]): string {
  const percent = (value: number): string => `${+(100 * value).toFixed(1)} %`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${2 * WIDTH} ${HEIGHT}" width="${2 * WIDTH}" height="${HEIGHT}" font-family="system-ui, sans-serif" font-size="11" fill="#333" class="curves"><style>${dark}</style><rect width="100%" height="100%" class="paper" fill="#fff"/>${panel('loss', curvesOf(history, 'loss'), 0, (value) => String(+value.toPrecision(3)))}${panel('accuracy', curvesOf(history, 'accuracy'), WIDTH, percent)}</svg>\n`;
}
