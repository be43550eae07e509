/** Ends with 0 if there is a browser for tests, which it unpacks if need be: `node scripts/script.mjs scripts/browser.ts`. */
import { findBrowser } from '../packages/testing/src/browser.js';

process.exitCode = (await findBrowser()) ? 0 : 1;
