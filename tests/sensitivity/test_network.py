"""Parts of a network run alone, and values live no longer than they are read."""

from qcompile.sensitivity.network import Network, behind, schedule
from tests.helpers import seeded_inputs


def test_what_lies_behind_a_branch(net):
    found = behind(net, net.named("each"))
    assert {node.name for node in found} == {"each_2", "sum", "mean", "last", "y"}


def test_values_die_at_their_last_reader(net):
    steps = schedule(net.nodes[1:], keep=net.results)
    dead = {step.node.name: {node.name for node in step.dead} for step in steps}
    assert dead["skip"] == {"first_2"}
    assert dead["sum"] == {"each_2", "skip"}
    assert dead["y"] == {"last"}


def test_a_run_leaves_the_results_alone(net):
    network = Network(net)
    (values,) = network.batches([seeded_inputs(net)])
    assert set(network.run(network.steps, values)) == set(net.results)


def test_eight_samples_share_a_batch(net):
    batches = Network(net).batches([seeded_inputs(net)] * 9)
    assert [len(batch[net.inputs[0]]) for batch in batches] == [8, 1]
