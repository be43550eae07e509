/**
 * Draws digits like those of MNIST. Each is a few strokes, rendered with soft edges in 20x20 pixels and
 * centred by its centre of mass in 28x28, with two more pixels at each edge: 32x32.
 */

/** Point with coordinates from 0 to 1, y downwards. */
type Point = readonly [x: number, y: number];

/** Curve through points (a Catmull-Rom spline). */
type Stroke = readonly Point[];

/** Strokes of the digits 0 to 9. */
const strokes: readonly (readonly Stroke[])[] = [
  [
    [
      [0.52, 0.05],
      [0.25, 0.2],
      [0.18, 0.55],
      [0.32, 0.9],
      [0.55, 0.95],
      [0.78, 0.75],
      [0.82, 0.4],
      [0.7, 0.12],
      [0.5, 0.05],
    ],
  ],
  [
    [
      [0.42, 0.18],
      [0.52, 0.05],
      [0.5, 0.5],
      [0.48, 0.97],
    ],
  ],
  [
    [
      [0.2, 0.22],
      [0.4, 0.06],
      [0.68, 0.12],
      [0.72, 0.35],
      [0.5, 0.62],
      [0.2, 0.92],
    ],
    [
      [0.2, 0.92],
      [0.5, 0.9],
      [0.85, 0.9],
    ],
  ],
  [
    [
      [0.22, 0.12],
      [0.5, 0.04],
      [0.74, 0.18],
      [0.66, 0.4],
      [0.42, 0.48],
      [0.7, 0.55],
      [0.78, 0.76],
      [0.55, 0.95],
      [0.2, 0.88],
    ],
  ],
  [
    [
      [0.28, 0.06],
      [0.2, 0.35],
      [0.22, 0.5],
      [0.5, 0.52],
      [0.8, 0.46],
    ],
    [
      [0.74, 0.08],
      [0.7, 0.5],
      [0.66, 0.97],
    ],
  ],
  [
    [
      [0.78, 0.06],
      [0.5, 0.06],
      [0.32, 0.1],
    ],
    [
      [0.32, 0.1],
      [0.26, 0.42],
    ],
    [
      [0.26, 0.42],
      [0.55, 0.38],
      [0.78, 0.58],
      [0.7, 0.85],
      [0.42, 0.96],
      [0.18, 0.88],
    ],
  ],
  [
    [
      [0.68, 0.04],
      [0.42, 0.22],
      [0.24, 0.58],
      [0.3, 0.88],
      [0.55, 0.96],
      [0.76, 0.8],
      [0.68, 0.58],
      [0.45, 0.55],
      [0.27, 0.72],
    ],
  ],
  [
    [
      [0.16, 0.12],
      [0.5, 0.1],
      [0.82, 0.1],
    ],
    [
      [0.82, 0.1],
      [0.6, 0.5],
      [0.44, 0.97],
    ],
  ],
  [
    [
      [0.7, 0.16],
      [0.46, 0.04],
      [0.26, 0.2],
      [0.42, 0.42],
      [0.68, 0.6],
      [0.74, 0.84],
      [0.48, 0.97],
      [0.26, 0.82],
      [0.36, 0.58],
      [0.62, 0.4],
      [0.72, 0.18],
    ],
  ],
  [
    [
      [0.72, 0.22],
      [0.5, 0.06],
      [0.26, 0.2],
      [0.3, 0.42],
      [0.55, 0.46],
      [0.74, 0.26],
    ],
    [
      [0.74, 0.22],
      [0.7, 0.6],
      [0.62, 0.97],
    ],
  ],
];

/** Gives points along a stroke, 17 per segment. */
function along(stroke: Stroke): readonly Point[] {
  const at = (i: number): Point => stroke[Math.min(stroke.length - 1, Math.max(0, i))]!;
  const points: Point[] = [];
  for (let segment = 0; segment + 1 < stroke.length; segment++)
    for (let step = 0; step <= 16; step++) {
      const t = step / 16;
      const spline = (axis: 0 | 1): number => {
        const [a, b, c, d] = [segment - 1, segment, segment + 1, segment + 2].map((i) => at(i)[axis]) as [
          number,
          number,
          number,
          number,
        ];
        return (
          0.5 *
          (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t * t * t)
        );
      };
      points.push([spline(0), spline(1)]);
    }
  return points;
}

/** Radius of the pen, in pixels. */
const PEN = 1.05;

/** Draws a digit as 32x32 values from 0 to 1, white on black. @throws RangeError for other numbers. */
export function drawDigit(digit: number): Float32Array {
  const shape = strokes[digit];
  if (!shape) throw new RangeError(`A digit is a whole number from 0 to 9, got ${digit}.`);
  const points = shape.flatMap(along).map(([x, y]) => [x * 19 + 0.5, y * 19 + 0.5] as const);
  const ink = (x: number, y: number): number => {
    const distance = Math.min(...points.map(([px, py]) => Math.hypot(px - x, py - y)));
    return Math.min(1, Math.max(0, PEN + 0.5 - distance));
  };
  let [mass, sumX, sumY] = [0, 0, 0];
  for (let y = 0; y < 20; y++)
    for (let x = 0; x < 20; x++) {
      const value = ink(x + 0.5, y + 0.5);
      mass += value;
      sumX += value * (x + 0.5);
      sumY += value * (y + 0.5);
    }
  const [left, top] = [Math.round(16 - sumX / mass), Math.round(16 - sumY / mass)];
  const pixels = new Float32Array(32 * 32);
  for (let y = 0; y < 32; y++)
    for (let x = 0; x < 32; x++) pixels[y * 32 + x] = ink(x - left + 0.5, y - top + 0.5);
  return pixels;
}
