"""Where messages go: a webhook and e-mail, each a block of Prefect's own, which the server itself sends by."""

from collections.abc import Sequence
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

from prefect.blocks.notifications import SlackWebhook
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.types import SecretDict
from pydantic import SecretStr

from base.faults import WrongUse
from base.frozen import Frozen

WEBHOOK, EMAIL = "knowflow-webhook", "knowflow-email"
"""Names of the blocks."""
Block = Webhook | SlackWebhook
KINDS: dict[str, type[Block]] = {WEBHOOK: Webhook, EMAIL: SlackWebhook}
JSON = {"Content-Type": "application/json"}
SCHEMES = {"smtp": ("mailto", 25, {}), "smtps": ("mailtos", 465, {"mode": "ssl"})}
SCHEMES |= {"starttls": ("mailtos", 587, {"mode": "starttls"})}
"""Scheme of --smtp -> Apprise's scheme, its usual port, and how it is secured."""


class Channels(Frozen):
    """Where messages shall go; None = as the server has it."""

    webhook: str | None = None
    """Address that gets a POST with JSON."""
    email: tuple[str, ...] = ()
    """Addresses that get a mail."""
    smtp: str | None = None
    """Mail server: smtp://HOST, smtps://USER:PASSWORD@HOST, starttls://USER:PASSWORD@HOST:PORT."""
    sender: str | None = None
    """Address that mails come from; by default the first address that they go to."""

    def check(self) -> None:
        """Check what a server could not use.

        Raises:
            WrongUse: With all faults at once.
        """
        faults = []
        if self.webhook is not None and urlsplit(self.webhook).scheme not in ("http", "https"):
            faults.append(f"--webhook {self.webhook}: should begin with http:// or https://")
        faults += [f"--email {one}: is not an address" for one in self.email if one.count("@") != 1]
        if self.email and self.smtp is None:
            faults.append("--email needs a mail server: --smtp smtp://HOST, or KNOWFLOW_SMTP in the environment")
        if self.smtp is not None and (urlsplit(self.smtp).scheme not in SCHEMES or not urlsplit(self.smtp).hostname):
            faults.append(
                f"--smtp: should be {', '.join(f'{one}://HOST' for one in SCHEMES)}, with USER:PASSWORD@ before"
            )
        if faults:
            raise WrongUse("\n".join(faults))


def blocks(given: Channels) -> dict[str, Block | None]:
    """Return the blocks by name; None for a channel that is not given.

    A SlackWebhook takes any address of Apprise's, so mails, too: none of Prefect's own blocks is for mail.
    """
    webhook = mail = None
    if given.webhook is not None:
        webhook = Webhook(url=SecretStr(given.webhook), headers=SecretDict(JSON))
    if given.email and given.smtp is not None:
        mail = SlackWebhook(url=SecretStr(mail_address(given.smtp, given.sender, given.email)))
    return {WEBHOOK: webhook, EMAIL: mail}


def mail_address(smtp: str, sender: str | None, to: Sequence[str]) -> str:
    """Return Apprise's address of a mail.

    Example:
        >>> mail_address("smtps://me:secret@mail.x.org", None, ["a@x.org"])
        'mailtos://me:secret@mail.x.org:465/?to=a%40x.org&from=a%40x.org&smtp=mail.x.org&format=text&mode=ssl'
    """
    parts = urlsplit(smtp)
    scheme, port, options = SCHEMES[parts.scheme]
    host = parts.hostname or ""
    user = f"{quote(parts.username, safe='%')}:{quote(parts.password or '', safe='%')}@" if parts.username else ""
    query = {"to": ",".join(to), "from": sender or to[0], "smtp": host, "format": "text", **options}
    return f"{scheme}://{user}{host}:{parts.port or port}/?{urlencode(query)}"


def document_id(client: SyncPrefectClient, name: str) -> UUID | None:
    """Return the id of a block on the server; None if there is none."""
    try:
        return client.read_block_document_by_name(name, KINDS[name].get_block_type_slug()).id
    except ObjectNotFound:
        return None
