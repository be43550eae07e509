/**
 * Checks the links of the documents: what they point to exists, headings included, and what the README of a public
 * package shows or points to is in the published package too, since nothing else of the repository is there.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/** Address of the main branch, for documents that are also read outside the repository. */
const published = 'https://github.com/cnn-js/cnn/blob/main/';

const markdownIn = (folder) =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.md'))
        .map((name) => join(folder, name))
    : [];

/** Text without its blocks of code and its `code`. */
const prose = (text) => text.replace(/```[\s\S]*?```/g, '').replace(/`[^`\n]*`/g, 'code');

/** The anchors that GitHub and npm give the headings of a document. */
const anchorsOf = (path) =>
  [...readFileSync(path, 'utf8').matchAll(/^#+\s+(.*)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  );

/** Returns the problem of a link, as the end of a sentence; undefined if there is none. */
function problemOf(root, document, target) {
  const inRepository = target.startsWith(published);
  if (!inRepository && /^[a-z]+:/.test(target)) return undefined;
  const [path, anchor] = (inRepository ? target.slice(published.length) : target).split('#');
  const file = path === '' ? document : resolve(inRepository ? root : dirname(document), path);
  if (!existsSync(file)) return 'which does not exist';
  if (anchor && !anchorsOf(file).includes(anchor)) return 'which has no such heading';
  const [, name] = /^packages\/([^/]+)\/README\.md$/.exec(relative(root, document)) ?? [];
  if (inRepository || path === '' || !name) return undefined;
  const { private: own, files = [] } = JSON.parse(
    readFileSync(join(dirname(document), 'package.json'), 'utf8'),
  );
  return own || files.includes(path)
    ? undefined
    : `which is not in the published package; add it to 'files', or write ${published}...`;
}

/** Every problem with the links of a repository's documents, as sentences. */
export function linkProblems(root) {
  const packages = readdirSync(join(root, 'packages')).map((name) => join(root, 'packages', name));
  const documents = [root, join(root, 'docs'), join(root, 'packages/bench/notes'), ...packages].flatMap(
    markdownIn,
  );
  return documents.flatMap((document) =>
    [...prose(readFileSync(document, 'utf8')).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target]) => {
      const problem = problemOf(root, document, target);
      return problem ? [`${relative(root, document)} points to ${target}, ${problem}.`] : [];
    }),
  );
}
