/*
 * completion: what a shell needs to finish a line of muster. The shells get a few lines that ask back,
 * 'muster completion words -- WORD...', so that commands, options and names are known in one place: here.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "cmd/muster/cmd_print.h"

static const char bash_text[] =
    "_muster() {\n"
    "  local IFS=$'\\n'\n"
    "  COMPREPLY=($(muster completion words -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
    "  if [ \"${COMPREPLY[0]-}\" = :files ]; then\n"
    "    COMPREPLY=()\n"
    "    compopt -o default 2>/dev/null\n"
    "  fi\n"
    "}\n"
    "complete -F _muster muster\n";

static const char zsh_text[] =
    "#compdef muster\n"
    "_muster() {\n"
    "  local -a found\n"
    "  found=(${(f)\"$(muster completion words -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\"})\n"
    "  if [[ ${found[1]-} == :files ]]; then\n"
    "    _files\n"
    "  else\n"
    "    compadd -- $found\n"
    "  fi\n"
    "}\n"
    "if [[ ${funcstack[1]-} == _muster ]]; then\n"
    "  _muster \"$@\"\n"
    "else\n"
    "  compdef _muster muster\n"
    "fi\n";

static const char fish_text[] =
    "function __muster_words\n"
    "  set -l line (commandline -opc)\n"
    "  set -l found (muster completion words -- $line[2..-1] (commandline -ct) 2>/dev/null)\n"
    "  if test \"$found[1]\" = :files\n"
    "    __fish_complete_path (commandline -ct)\n"
    "  else\n"
    "    printf '%s\\n' $found\n"
    "  end\n"
    "end\n"
    "complete -c muster -f -a '(__muster_words)'\n";

/* ---- candidates ---- */

enum kind { NOTHING, FILES, ENTRIES, CAS, PROTOCOLS };

struct found {
    const char *prefix;
    struct mu_buf seen; /* "\nname\n..." */
};

static void offer(struct found *found, const char *word)
{
    struct mu_buf line = {0};

    mu_buf_putf(&line, "\n%s\n", word);
    if (mu_text_starts(word, found->prefix)
        && strstr(mu_buf_str(&found->seen), mu_buf_str(&line)) == NULL) {
        if (found->seen.n == 0)
            mu_buf_put_byte(&found->seen, '\n');
        mu_buf_putf(&found->seen, "%s\n", word);
        puts(word);
    }
    mu_buf_clear(&line);
}

static void offer_entry(void *cookie, const char *name)
{
    offer(cookie, name);
}

static void offer_ca(void *cookie, const char *name, struct mu_pki_cert *cert)
{
    offer(cookie, name);
}

static void offer_sections(
    struct mu_cmd *cmd, const char *at(const struct mu_agent_config *, size_t), struct found *found)
{
    const char *name;

    for (size_t i = 0; cmd->config != NULL && (name = at(cmd->config, i)) != NULL; i++)
        offer(found, name);
}

static void offer_kind(struct mu_cmd *cmd, enum kind kind, struct found *found)
{
    static const char *const protocols[] = {"scep", "est", "cmp", NULL};
    bool has_store = (kind == ENTRIES || kind == CAS) && mu_cmd_open_store(cmd, false, NULL) == MU_OK;

    if (kind == FILES)
        puts(":files");
    for (size_t i = 0; kind == PROTOCOLS && protocols[i] != NULL; i++)
        offer(found, protocols[i]);
    if (kind == ENTRIES) {
        offer_sections(cmd, mu_agent_config_entry_at, found);
        if (has_store && mu_keystore_each(cmd->store, offer_entry, found, NULL) != MU_OK)
            return;
    } else if (kind == CAS) {
        offer_sections(cmd, mu_agent_config_ca_at, found);
        if (has_store && mu_keystore_ca_each(cmd->store, offer_ca, found, NULL) != MU_OK)
            return;
    }
}

static void offer_options(unsigned groups, struct found *found)
{
    const char *name;
    unsigned in;
    char word[64];

    for (size_t i = 0; (name = mu_cmd_args_at(i, &in)) != NULL; i++) {
        snprintf(word, sizeof word, "--%s", name);
        if ((in & groups) != 0)
            offer(found, word);
    }
}

/* First words of commands, or second ones behind first. */
static void offer_commands(const char *first, struct found *found)
{
    const struct mu_cmd_command *c;
    char word[64];

    for (size_t i = 0; (c = mu_cmd_table_at(i)) != NULL; i++) {
        size_t n = strcspn(c->name, " ");

        if (first == NULL)
            snprintf(word, sizeof word, "%.*s", (int)n, c->name);
        else if (c->name[n] != '\0' && strlen(first) == n && memcmp(c->name, first, n) == 0)
            snprintf(word, sizeof word, "%s", c->name + n + 1);
        else
            continue;
        offer(found, word);
    }
}

/* What the placeholder of an option's value, or of a command's first word, stands for. */
static enum kind kind_of(const char *placeholder, const char *option)
{
    static const struct {
        const char *word;
        enum kind kind;
    } kinds[] = {{"FILE", FILES}, {"DIR", FILES}, {"TARGET", FILES}, {"CA", CAS}, {"PROTO", PROTOCOLS}};

    if (strcmp(option, "ca-cert") == 0 || strcmp(option, "server-cert") == 0)
        return CAS;
    if (strcmp(option, "client-cert") == 0 || mu_text_starts(placeholder, "NAME"))
        return ENTRIES;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (mu_text_starts(placeholder, kinds[i].word))
            return kinds[i].kind;
    }
    return NOTHING;
}

static enum kind kind_of_word(const struct mu_cmd_command *command, size_t n)
{
    const char *usage = command->usage + strspn(command->usage, "[");

    if (n > 0 && strstr(usage, "FILE") != NULL)
        return FILES;
    if (strcmp(command->name, "ca remove") == 0)
        return CAS;
    return mu_text_starts(usage, "--name") ? FILES : kind_of(usage, "");
}

/* The words before the last: which command, how many names, and whether the last is an option's value. */
struct line {
    const struct mu_cmd_command *command;
    const char *first; /* of a command with two words */
    size_t names;
    const char *value_of, *placeholder;
};

static void read_word(struct mu_cmd *cmd, struct line *line, const char *const *words, size_t i, size_t n)
{
    const char *word = words[i];
    unsigned groups = MU_ARGS_GLOBAL | (line->command != NULL ? line->command->groups : 0);
    int used = 0;

    if (word[0] == '-') {
        line->value_of = mu_text_starts(word, "--") ? word + 2 : word + 1;
        line->placeholder = mu_cmd_args_value(word, groups);
        if (line->placeholder == NULL)
            line->value_of = NULL;
        else if (strcmp(word, "--store") == 0 && i + 1 < n)
            cmd->args.store = words[i + 1];
    } else if (line->command == NULL && line->first == NULL) {
        char *pair[] = {NULL, NULL, NULL};

        pair[0] = strdup(word);
        pair[1] = strdup(i + 1 < n ? words[i + 1] : "");
        if (pair[0] != NULL && pair[1] != NULL)
            line->command = mu_cmd_table_find(2, pair, 0, &used);
        free(pair[0]);
        free(pair[1]);
        line->first = line->command == NULL || used == 2 ? word : NULL;
    } else if (line->first != NULL && line->command != NULL) {
        line->first = NULL; /* the second word of the command */
    } else {
        line->names++;
    }
}

static int complete(struct mu_cmd *cmd, const char *const *words, size_t n)
{
    struct found found = {.prefix = n > 0 ? words[n - 1] : ""};
    struct line line = {0};

    for (size_t i = 0; i + 1 < n; i++) {
        if (line.value_of != NULL)
            line.value_of = NULL;
        else
            read_word(cmd, &line, words, i, n - 1);
    }
    if (line.value_of != NULL)
        offer_kind(cmd, kind_of(line.placeholder, line.value_of), &found);
    else if (found.prefix[0] == '-')
        offer_options(MU_ARGS_GLOBAL | (line.command != NULL ? line.command->groups : 0), &found);
    else if (line.command == NULL)
        offer_commands(line.first, &found);
    else if (line.names < line.command->max_words)
        offer_kind(cmd, kind_of_word(line.command, line.names), &found);
    mu_buf_clear(&found.seen);
    return MU_CMD_OK;
}

int mu_cmd_completion(struct mu_cmd *cmd)
{
    static const struct {
        const char *name, *text;
    } shells[] = {{"bash", bash_text}, {"zsh", zsh_text}, {"fish", fish_text}};
    const char *word = cmd->args.words[0];
    struct mu_err err = {0};

    if (strcmp(word, "words") == 0)
        return complete(cmd, cmd->args.words + 1, cmd->args.word_n - 1);
    for (size_t i = 0; i < sizeof shells / sizeof shells[0] && cmd->args.word_n == 1; i++) {
        if (strcmp(word, shells[i].name) == 0) {
            fputs(shells[i].text, stdout);
            return MU_CMD_OK;
        }
    }
    mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "completion takes one of bash, zsh, fish");
    return mu_cmd_print_usage_error(cmd, &err);
}
