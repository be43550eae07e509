/** Memory of parameters, packed weights and other constants, and the functions that fill it. */
import { FLOAT } from '../codegen/kernel.js';
import { type Pointer, Region } from './region.js';

/** Memory for a constant, and the function that fills it while a program is loaded. */
export interface ConstantFill {
  readonly at: Pointer;
  /** Size in float32 values. */
  readonly floats: number;
  /** Fills a piece of the constant. `target` is all of its memory, zero at first; pieces come in order. */
  readonly fill: (target: Float32Array, piece: number) => void;
  /** Number of pieces. */
  readonly pieces: number;
}

/** Most values that are packed without yielding to the event loop: less than a millisecond of work. */
export const PIECE_VALUES = 2 ** 18;

/** The constants of a plan. Runs read them; only update phases change those that are parameters. */
export class ConstantPool {
  readonly region = new Region();
  /** Functions that fill the constants. They keep the weights from being garbage-collected. */
  readonly fills: ConstantFill[] = [];
  readonly #interned = new Map<string, Pointer>();

  /**
   * Reserves memory for a constant.
   * @param floats - size in float32 values.
   * @param fill - fills one piece of the memory, which is zero at first, while the program is loaded.
   * @param pieces - number of calls of `fill`, between which loading yields to the event loop.
   */
  add(floats: number, fill: ConstantFill['fill'], pieces = 1): Pointer {
    const at = this.region.reserve(floats * FLOAT);
    this.fills.push({ at, floats, fill, pieces });
    return at;
  }

  /** Reserves memory for a constant once per name: later calls return the same memory and ignore `fill`. */
  intern(name: string, floats: number, fill: ConstantFill['fill']): Pointer {
    const at = this.#interned.get(name) ?? this.add(floats, fill);
    this.#interned.set(name, at);
    return at;
  }
}
