/** Notes about decisions that reading a weight file takes: which state dict, which prefix, what was left out. */

/** A decision that `readWeights` took, in a sentence. */
export interface WeightsNote {
  /** `'choice'`: the file holds other weights too. `'names'`: names were changed or tensors left out. */
  readonly kind: 'choice' | 'names';
  readonly text: string;
}

/** Collects the notes of a file. */
export class Notes {
  readonly all: WeightsNote[] = [];

  /** Notes which of several state dicts was taken. */
  choice(text: string): void {
    this.all.push({ kind: 'choice', text });
  }

  /** Notes a change of names. */
  names(text: string): void {
    this.all.push({ kind: 'names', text });
  }
}
