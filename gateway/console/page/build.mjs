// Builds src/ into ../web/: the same bytes each time, with the licences of what is in them.

import { build } from "esbuild";
import { copyFileSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const out = "../web";
const common = { bundle: true, minify: true, target: ["es2022"], legalComments: "none", charset: "utf8", logLevel: "warning", metafile: true };

const results = await Promise.all([
  build({ ...common, entryPoints: { app: "src/main.tsx" }, outdir: out, jsx: "automatic", jsxImportSource: "preact" }),
  build({ ...common, entryPoints: { layout: "src/graph/worker.ts" }, outdir: out }),
  build({ ...common, entryPoints: { style: "src/style.css" }, outdir: out }),
]);
for (const file of ["index.html", "icon.svg"]) copyFileSync(join("src", file), join(out, file));

const used = new Set();
for (const { metafile } of results) {
  for (const input of Object.keys(metafile.inputs)) {
    const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
    if (name) used.add(name);
  }
}
const licences = [...used].sort().map((name) => {
  const folder = join("node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((f) => /^licen[cs]e/i.test(f));
  if (!file) throw new Error(`${name} ${version} (${license}) has no licence file`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
});
writeFileSync(join(out, "LICENSES.txt"), `app.js, layout.js and style.css contain parts of:\n\n${licences.join(`\n${"-".repeat(80)}\n\n`)}`);
