// A TypeDoc plugin that names each module after its subpath export, such as keybearer/express.
import { Converter, ReflectionKind } from "typedoc";
import manifest from "../package.json" with { type: "json" };

/** Returns the subpath that is built from a module of src. */
function subpathOf(name) {
  const files = [`./dist/${name}.js`, `./dist/${name}/index.js`];
  const [subpath] = Object.entries(manifest.exports).find(([, to]) => files.includes(to.default)) ?? [];
  return subpath === undefined ? name : subpath.replace(/^\./, manifest.name);
}

export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.getReflectionsByKind(ReflectionKind.Module))
      module.name = subpathOf(module.name);
  });
}
