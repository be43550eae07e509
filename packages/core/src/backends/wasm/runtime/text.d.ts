/** Types of modules that the build bundles to text: `scripts/moduleText.mjs`. */
declare module '*?text' {
  const text: string;
  export default text;
}
