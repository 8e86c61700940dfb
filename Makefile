# Every target is the script of its name: without make, run scripts/NAME. ARGS goes through: make test ARGS="-k gate"
.DEFAULT_GOAL := help
.PHONY: demo test test-home-assistant check format bench lock help

demo: ## Hear a recording judged: every MQTT message as it is sent (no microphone, no broker, no set-up)
	@scripts/demo $(ARGS)

test: ## Run the tests
	@scripts/test $(ARGS)

test-home-assistant: ## Run the tests against a real Home Assistant (Python 3.13; the first time downloads 200 MB)
	@scripts/test-home-assistant $(ARGS)

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
