/**
 * Addresses that are not known yet, and the arena whose places are given out and taken back while a plan
 * is made. Everything is 64-byte aligned: 16 bytes off cost 3 %.
 */

/** A cache line. */
export const ALIGNMENT = 64;

export const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** A part of memory. Where it starts is settled when all sizes are known. */
export class Region {
  /** Address of the first byte. */
  base = 0;
  bytes = 0;

  /** Room that is never given back. */
  reserve(bytes: number): Pointer {
    const at = new Pointer(this, this.bytes);
    this.bytes += aligned(bytes);
    return at;
  }
}

/** A place in a region. */
export class Pointer {
  constructor(
    readonly region: Region,
    readonly offset: number,
    /** How far it moves from one turn to the next: see `isTurns`. */
    readonly step = 0,
  ) {}

  plus(bytes: number): Pointer {
    return bytes === 0 ? this : new Pointer(this.region, this.offset + bytes, this.step);
  }

  /** The same place, which moves by so many bytes from one turn to the next. */
  moving(step: number): Pointer {
    return new Pointer(this.region, this.offset, step);
  }

  /** The place in a later turn. */
  inTurn(turn: number): Pointer {
    return this.step === 0 ? this : new Pointer(this.region, this.offset + turn * this.step);
  }

  /** The address, once the region has its base. */
  get address(): number {
    return this.region.base + this.offset;
  }
}

/** A region whose places are used again: the lowest gap that is large enough. */
export class Arena extends Region {
  /** Places in use, by address. */
  readonly #used: { readonly from: number; readonly to: number }[] = [];

  take(bytes: number): Pointer {
    const size = aligned(Math.max(1, bytes));
    let from = 0;
    let index = 0;
    for (; index < this.#used.length && this.#used[index]!.from - from < size; index++)
      from = this.#used[index]!.to;
    this.#used.splice(index, 0, { from, to: from + size });
    this.bytes = Math.max(this.bytes, from + size);
    return new Pointer(this, from);
  }

  release(pointer: Pointer): void {
    const index = this.#used.findIndex(({ from }) => from === pointer.offset);
    if (index < 0) throw new Error('This place of the arena is free.');
    this.#used.splice(index, 1);
  }
}
