"""Names of rows and vectors."""

from hypothesis import given
from hypothesis import strategies as st

from feature_store.lineage import VectorName, part_name, technique_of

NAMES = st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True)


@given(NAMES, NAMES, st.from_regex(r"[A-Za-z0-9_-]+", fullmatch=True))
def test_a_name_is_read_as_it_was_written_and_leads_to_its_technique(technique, part, encoder):
    for task in (technique, part_name(technique, part)):
        name = VectorName(task, encoder)
        assert VectorName.read(str(name)) == name
        assert name.technique == technique_of(task) == technique
