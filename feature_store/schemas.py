"""The schemas of the store's tables. Every key is one text column, declared as primary key."""

import pyarrow as pa

PRIMARY_KEY = {"lance-schema:unenforced-primary-key": "true"}
MOMENT = pa.timestamp("us", "UTC")
LATER = {"knowflow:added-later": "true"}
"""Marks a column that older tables lack: it reads as null there and is added when such a table is written."""


def key_field(name: str) -> pa.Field:
    """Return a text column declared as primary key; without it, two writers would silently duplicate rows."""
    return pa.field(name, pa.utf8(), nullable=False, metadata=PRIMARY_KEY)


ANSWERS = pa.schema(
    [
        key_field("key"),  # answer key: hash of messages, model, revision, adapter, sampling, schema
        pa.field("text", pa.utf8()),  # the raw answer; null on an error
        pa.field("error", pa.utf8()),  # kind of the error; null if answered
        pa.field("detail", pa.utf8()),  # the error in a sentence
        pa.field("prompt", pa.utf8()),  # task and version of the prompt that asked first
        pa.field("messages", pa.utf8()),  # the rendered prompt, JSON
        pa.field("model", pa.utf8()),
        pa.field("revision", pa.utf8()),
        pa.field("adapter", pa.utf8()),
        pa.field("seen_until", MOMENT, metadata=LATER),  # the newest event that the model was tuned on; null = none
        pa.field("sampling", pa.utf8()),  # JSON
        pa.field("answer_schema", pa.utf8()),  # JSON
        pa.field("input_tokens", pa.int32()),
        pa.field("output_tokens", pa.int32()),
        pa.field("cached_tokens", pa.int32()),  # of the input tokens, those the engine's prefix cache held
        pa.field("created_at", MOMENT),
        pa.field("knowledge_cutoff", pa.date32(), metadata=LATER),  # knowledge cutoff of the model; or null
        pa.field("finish", pa.utf8(), metadata=LATER),  # stop, length (cut off); null or empty if not known
        pa.field("answered_by", pa.utf8(), metadata=LATER),  # the model that the server says answered; or null
        pa.field("attempts", pa.int32(), metadata=LATER),  # times that it was asked until this answer; null = 1
    ]
)
LINEAGE = pa.schema(
    [
        key_field("row"),  # task, entity and as_of in one text
        pa.field("task", pa.utf8()),
        pa.field("entity_type", pa.utf8()),
        pa.field("entity", pa.utf8()),
        pa.field("as_of", MOMENT),  # first clock: the newest event the row may have seen
        pa.field("seen_until", MOMENT),  # the newest event that the prompt really contains; null = none
        pa.field("created_at", MOMENT),  # second clock: when the row was made
        pa.field("answer_key", pa.utf8()),  # null if no model was asked
        pa.field("prompt", pa.utf8()),
        pa.field("prompt_digest", pa.utf8()),
        pa.field("input_digest", pa.utf8()),
        pa.field("model", pa.utf8()),  # model, revision and adapter
        pa.field("text", pa.utf8()),  # what is encoded; null on an error
        pa.field("text_key", pa.utf8()),  # hash of the text; vectors refer to it
        pa.field("error", pa.utf8()),
        pa.field("model_seen_until", MOMENT, metadata=LATER),  # the newest event that the model was tuned on; or null
        pa.field("reads", pa.utf8(), metadata=LATER),  # rows of other techniques that it read, a JSON list; or null
    ]
)
STATES = pa.schema(
    [
        key_field("fingerprint"),  # everything that shapes a vector
        pa.field("encoder", pa.utf8()),
        pa.field("space", pa.utf8()),  # task on whose texts it was fitted
        pa.field("text_keys", pa.list_(pa.utf8())),  # the texts it was fitted on
        pa.field("state", pa.large_binary()),
        pa.field("created_at", MOMENT),
    ]
)
RUNS = pa.schema(
    [
        key_field("run"),  # a random name
        pa.field("task", pa.utf8()),
        pa.field("prompt", pa.utf8()),
        pa.field("model", pa.utf8()),  # model, revision and adapter
        pa.field("calls", pa.int64()),
        pa.field("failed", pa.int64()),
        pa.field("input_tokens", pa.int64()),
        pa.field("cached_tokens", pa.int64()),
        pa.field("output_tokens", pa.int64()),
        pa.field("seconds", pa.float64()),
        pa.field("ended_at", MOMENT),
    ]
)
RELEASES = pa.schema(
    [
        key_field("name"),  # rel-000001, rel-000002, ...: the last row is the current release
        pa.field("created_at", MOMENT),
        pa.field("rolled_back_to", pa.utf8()),  # the release whose tables this one points to again
        pa.field("versions", pa.utf8()),  # JSON: table -> version
        pa.field("facts", pa.utf8()),  # JSON: data version, tasks, encoders, gates
    ]
)
DOCUMENTS = pa.schema(
    [
        key_field("item"),
        pa.field("place", pa.int32()),  # in the order in which the store met the documents: breaks ties of the score
        pa.field("text", pa.utf8()),  # as it was before analysis
        pa.field("words", pa.utf8()),  # what is searched: analysed words separated by spaces
    ]
)
CODES = pa.schema(
    [
        key_field("key"),  # hash of name, fingerprint, entity and as_of
        pa.field("name", pa.utf8()),  # of the set, such as rqvae
        pa.field("fingerprint", pa.utf8()),  # everything that shapes the set
        pa.field("entity_type", pa.utf8()),
        pa.field("entity", pa.utf8()),
        pa.field("codes", pa.list_(pa.int32())),  # from the coarsest to the finest
        pa.field("as_of", MOMENT),  # the newest event the row may have seen
        pa.field("seen_until", MOMENT),  # the newest event that the maker of the set has seen; null = none
        pa.field("created_at", MOMENT),
    ]
)
EDGES = pa.schema(
    [
        key_field("key"),  # hash of name, fingerprint, source, target, kind and as_of
        pa.field("name", pa.utf8()),  # of the graph
        pa.field("fingerprint", pa.utf8()),
        pa.field("source", pa.utf8()),
        pa.field("target", pa.utf8()),
        pa.field("kind", pa.utf8()),  # what the edge means
        pa.field("weight", pa.float32()),
        pa.field("as_of", MOMENT),
        pa.field("seen_until", MOMENT),
        pa.field("created_at", MOMENT),
    ]
)
REWRITES = pa.schema(
    [
        key_field("query"),  # normalised, as sources.queries writes it
        pa.field("shown", pa.utf8()),  # the spelling that the prompt showed
        pa.field(
            "rewrites",  # best first
            pa.list_(
                pa.struct(
                    [
                        pa.field("text", pa.utf8()),
                        pa.field("score", pa.float64()),
                        pa.field("relevance", pa.float64()),
                        pa.field("increment", pa.float64()),
                    ]
                )
            ),
        ),
        pa.field("dropped", pa.int32()),  # rewrites that were empty, the query itself, or duplicates
        pa.field("answer_key", pa.utf8()),  # the answer they come from
        pa.field("prompt", pa.utf8()),
        pa.field("model", pa.utf8()),  # model, revision and adapter
        pa.field("answered_at", MOMENT),
        pa.field("created_at", MOMENT),  # when this row was made
    ]
)


def vectors_schema(dimension: int) -> pa.Schema:
    """Return the schema of one encoder's vectors: half precision, which halves the size and doubles scan speed."""
    return pa.schema(
        [
            key_field("key"),  # hash of text key and fingerprint
            pa.field("text_key", pa.utf8()),
            pa.field("fingerprint", pa.utf8()),
            pa.field("vector", pa.list_(pa.float16(), dimension)),
        ]
    )
