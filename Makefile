# Every target is the script of its name: without make, run scripts/NAME. ARGS goes through: make test ARGS="-k gate"
.DEFAULT_GOAL := help
.PHONY: demo test check format bench lock help

demo: ## Hear a recording judged: every MQTT message as it is sent (no microphone, no broker, no set-up)
	@scripts/demo $(ARGS)

test: ## Run the tests
	@scripts/test $(ARGS)

check: ## Lint, formatting and types
	@scripts/check

format: ## Format the code and mend what the linter can
	@scripts/format

bench: ## Print the benchmarks' figures
	@scripts/bench $(ARGS)

lock: ## Write requirements/*.txt again from pyproject.toml (ARGS=--upgrade: newest versions)
	@scripts/lock $(ARGS)

help: ## This list
	@scripts/help
