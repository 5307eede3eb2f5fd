"""Options that choose features of a release, the same in every command that writes them."""

from typing import Annotated

from cyclopts import Parameter

TaskNames = Annotated[
    str | None, Parameter(help="Techniques, separated by commas. Default: all about users and items.")
]
EncoderNames = Annotated[str | None, Parameter(help="Encoders of vectors, separated by commas. Default: all.")]
FeatureNames = Annotated[
    str | None, Parameter(help="Features, or patterns such as 'kar_*', separated by commas. Default: all but texts.")
]
