"""Score any Hugging Face causal language model, as it is in memory; nothing is scored twice."""

import argparse

import semprune

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default="smollm2-135m", help="whatever load_backbone takes")
parser.add_argument("--datasets", nargs="+", default=["sst2", "movie_reviews"])
parser.add_argument("--limit", type=int, default=100)
parser.add_argument("--cache", default="runs/scores")
arguments = parser.parse_args()

lm = semprune.load_backbone(arguments.model)
model, tokenizer = lm.model, lm.tokenizer  # or AutoModelForCausalLM and AutoTokenizer of your own

table = semprune.evaluate(
    model, arguments.datasets, tokenizer=tokenizer, limit=arguments.limit, prompt="all", cache=arguments.cache
)
print(table[["dataset", "prompt", "metric", "value", "low", "high", "n"]].to_string(index=False))
print(table.attrs["throughput"])

context = "The film was so dull that it"
for score, is_greedy in semprune.loglikelihood(model, tokenizer, [(context, " hurts"), (context, " shines")]):
    print(f"{score:.2f} nats{', the likeliest' if is_greedy else ''}")
