/**
 * Checks what no other tool does: every family has the same files and fields, imports point one way only, between
 * packages, between the folders of @cnn/core and between those of its wasm back end, and in no circle between files,
 * and links of documents lead somewhere.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { families } from './families.mjs';
import { importCircles } from './importCircles.mjs';
import { importsOf, sources } from './imports.mjs';
import { linkProblems } from './markdownLinks.mjs';

const familyFiles = [
  'package.json',
  'tsconfig.json',
  'tsup.config.ts',
  'README.md',
  'block.svg',
  'goldens',
  'src/index.ts',
  'src/article.ts',
  'src/weights.ts',
];
const familyExports = ['models', 'article', 'renames'];

/** The folders of core, the lower ones first; a file may import from its own folder and those before it. */
const coreLayers = [
  'printable',
  'errors',
  'platform',
  'platformName',
  'yield',
  'realms',
  'signal',
  'tensor',
  'pointwise',
  'graph',
  'ops',
  'nn',
  'passes',
  'backends',
  'runtime',
  'io',
  'model',
  'entries',
];

/** The entries of core, files beside its folders: `@cnn/core`, `@cnn/core/graph`, `@cnn/core/io`. */
const coreEntries = ['index', 'graph', 'io'];

/**
 * The folders and files of core's wasm back end, the lower levels first. A file may import from its own folder and from
 * lower levels, but not from the other folders of its level.
 */
const wasmLevels = [
  ['codegen'],
  ['memory'],
  ['schedule'],
  ['ops', 'runtime'],
  ['planGraph', 'wideSimd'],
  ['program'],
  ['wasm'],
];

/** Packages of this repository that each package may import; families import core alone. Tests may import more. */
const mayImport = {
  core: [],
  image: ['core'],
  train: ['core', 'image'],
  onnx: ['core'],
  explain: ['core', 'image'],
  classify: ['core', 'image'],
  cli: ['core', 'image', 'train', 'onnx', 'explain', ...families],
  testing: ['core'],
  fuzz: ['core', 'image', 'testing'],
  bench: ['core', 'image', 'train', 'onnx', 'testing', ...families],
  ...Object.fromEntries(families.map((name) => [name, ['core']])),
};

/** The part of the wasm back end that a file belongs to, and its level; -1 for all other files. */
function wasmRoom(root, file) {
  const name = relative(join(root, 'packages/core/src/backends/wasm'), file).split(/[/.]/)[0];
  return { name, level: wasmLevels.findIndex((level) => level.includes(name)) };
}

/** The layer of core that a file belongs to, which may be missing in `coreLayers`. */
function coreLayer(root, file) {
  const [folder, ...rest] = relative(join(root, 'packages/core/src'), file).split(/[/.]/);
  return rest.length === 1 && coreEntries.includes(folder) ? 'entries' : folder;
}

/** Every problem of a repository, as sentences. */
export function problemsOf(root) {
  const problems = [];
  const packages = readdirSync(join(root, 'packages'));
  for (const family of families.filter((name) => packages.includes(name))) {
    const folder = join(root, 'packages', family);
    for (const file of familyFiles)
      if (!existsSync(join(folder, file)))
        problems.push(`packages/${family} has no ${file}; every family has one.`);
    const index = join(folder, 'src/index.ts');
    const text = existsSync(index) ? readFileSync(index, 'utf8') : '';
    for (const name of familyExports)
      if (!new RegExp(`\\b${name}\\b`).test(text))
        problems.push(`packages/${family}/src/index.ts does not export ${name}.`);
  }
  for (const name of packages) {
    const isFamily = existsSync(join(root, 'packages', name, 'src/article.ts'));
    if (isFamily && !families.includes(name))
      problems.push(`packages/cli/src/registry.ts does not load @cnn/${name}, which looks like a family.`);
  }
  if (packages.includes('cli')) {
    const { peerDependencies } = JSON.parse(readFileSync(join(root, 'packages/cli/package.json'), 'utf8'));
    for (const family of families)
      if (!(`@cnn/${family}` in peerDependencies))
        problems.push(`packages/cli/package.json does not name @cnn/${family} among its peerDependencies.`);
  }
  const fields = [
    'name',
    'version',
    'description',
    'license',
    'type',
    'files',
    'exports',
    'engines',
    'publishConfig',
    'repository',
    'homepage',
    'bugs',
  ];
  for (const name of packages) {
    const manifest = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'));
    if (manifest.private) continue;
    for (const field of fields)
      if (!(field in manifest)) problems.push(`packages/${name}/package.json has no field '${field}'.`);
    if (manifest.repository?.directory !== `packages/${name}`)
      problems.push(`packages/${name}/package.json names another folder as its 'repository.directory'.`);
  }
  for (const name of packages)
    for (const file of sources(join(root, 'packages', name, 'src'))) {
      const isTest = file.endsWith('.test.ts');
      const where = relative(root, file);
      if (name === 'core' && !isTest && !coreLayers.includes(coreLayer(root, file)))
        problems.push(`${where} has no place among the coreLayers of scripts/check-packages.mjs.`);
      for (const target of importsOf(file)) {
        const other = /^@cnn\/([\w-]+)/.exec(target)?.[1];
        if (other && other !== name && !isTest && !(mayImport[name] ?? []).includes(other))
          problems.push(`${where} imports @cnn/${other}, which @cnn/${name} may not.`);
        if (name === 'core' && target.startsWith('.') && !isTest) {
          const [from, to] = [coreLayer(root, file), coreLayer(root, resolve(dirname(file), target))];
          if (coreLayers.indexOf(to) > coreLayers.indexOf(from))
            problems.push(`${where} imports ${target}: ${from} may not know ${to}.`);
          const [importer, imported] = [wasmRoom(root, file), wasmRoom(root, resolve(dirname(file), target))];
          if (importer.level >= 0 && importer.name !== imported.name && imported.level >= importer.level)
            problems.push(
              `${where} imports ${target}: wasm/${importer.name} may not know wasm/${imported.name}.`,
            );
        }
      }
    }
  return [...problems, ...importCircles(root), ...linkProblems(root)];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problems = problemsOf(fileURLToPath(new URL('..', import.meta.url)));
  for (const problem of problems) console.error(problem);
  process.exit(problems.length > 0 ? 1 : 0);
}
