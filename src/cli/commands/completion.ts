import { Argument, type Command } from "commander";
import { command, type Run } from "../arguments.js";

const SHELLS = ["bash", "zsh", "fish"] as const;

/** `keybearer completion`: prints a completion script. */
export function completionCommand({ output }: Run): Command {
  return command("completion", "print a script that completes commands and options in your shell", [
    'eval "$(npx keybearer completion bash)"',
    "npx keybearer completion fish > ~/.config/fish/completions/keybearer.fish",
  ])
    .addArgument(new Argument("<shell>", "your shell").choices(SHELLS))
    .action((shell: (typeof SHELLS)[number], _: object, self: Command) => {
      const { commands } = self.parent as Command;
      return output.write(shell === "fish" ? fishScript(commands) : bashScript(commands, shell));
    });
}

/** zsh runs completions of bash. */
function bashScript(commands: readonly Command[], shell: "bash" | "zsh"): string {
  const names = commands.map((each) => each.name());
  const cases = commands.map((each) => {
    const words = [
      ...each.registeredArguments.flatMap(({ argChoices = [] }) => argChoices),
      ...optionsOf(each),
    ];
    const choices = each.options
      .filter(({ argChoices }) => argChoices !== undefined)
      .map(({ long, argChoices = [] }) => `[ "$previous" = ${long} ] && words="${argChoices.join(" ")}"`);
    return `    ${each.name()})\n${[`words="${words.join(" ")}"`, ...choices]
      .map((line) => `      ${line}\n`)
      .join("")}      ;;`;
  });
  return `${shell === "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" : ""}_keybearer() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
  [ "$COMP_CWORD" = 1 ] && words="${names.join(" ")}"
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _keybearer keybearer
`;
}

function fishScript(commands: readonly Command[]): string {
  const quote = (text: string) => `'${text.replace(/['\\]/g, "\\$&")}'`;
  const lines = commands.flatMap((each) => {
    const within = `complete -c keybearer -n '__fish_seen_subcommand_from ${each.name()}'`;
    return [
      `complete -c keybearer -f -n __fish_use_subcommand -a ${each.name()} -d ${quote(each.description())}`,
      ...each.registeredArguments.flatMap(({ argChoices }) =>
        argChoices === undefined ? [] : [`${within} -f -a ${quote(argChoices.join(" "))}`],
      ),
      ...each.options.map(({ long, description, argChoices, required }) => {
        const values = argChoices === undefined ? "" : ` -f -a ${quote(argChoices.join(" "))}`;
        return `${within} -l ${long?.slice(2)} -d ${quote(description)}${required ? " -r" : ""}${values}`;
      }),
    ];
  });
  return `${lines.join("\n")}\n`;
}

function optionsOf(target: Command): readonly string[] {
  return target.options.flatMap(({ long }) => long ?? []);
}
