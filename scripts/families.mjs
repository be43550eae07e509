/** The families of networks that the command `cnn` knows, by the names of their packages. */
import { readFileSync } from 'node:fs';

const registry = readFileSync(new URL('../packages/cli/src/registry.ts', import.meta.url), 'utf8');

/** @type {readonly string[]} */
export const families = [...registry.matchAll(/import\('@cnn\/([a-z0-9]+)'\)/g)].map(([, name]) => name);
