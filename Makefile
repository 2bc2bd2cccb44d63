# Every target is a line over ./run, for machines that have no make.
.PHONY: demo test faults fuzz lint format bench pictures compose-test
demo: ; @./run demo $(if $(KEEP),--keep)
test: ; @./run test
faults: ; @./run faults
fuzz: ; @./run fuzz $(SECONDS)
lint: ; @./run lint
format: ; @./run format
bench: ; @./run bench
pictures: ; @./run pictures
compose-test: ; @./run compose-test
