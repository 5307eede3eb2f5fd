"""Well-known data sets in small, as they are published: made-up rows in the files and forms that people download."""

import gzip
import json
import random
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

USERS, ITEMS, EACH = 60, 40, 15
Row = tuple[int, int, int, datetime]
"""User, item, rating from 1 to 5, time."""


def log() -> Iterator[Row]:
    """Yield made-up events: half of what a user rates is of the kind it likes."""
    chance = random.Random(0)
    for user in range(USERS):
        for n, item in enumerate(chance.sample(range(ITEMS), EACH)):
            liked = item % 4 == user % 4 or chance.random() < 0.3
            rating = chance.choice((4, 5)) if liked else chance.choice((1, 2, 3))
            yield user + 1, item + 1, rating, datetime.fromtimestamp(1_500_000_000 + 86_400 * n + 60 * user, UTC)


def write(path: Path, rows: Iterable[str], encoding: str = "utf-8") -> None:
    """Write lines, packed when the suffix says so."""
    text = "".join(f"{row}\n" for row in rows).encode(encoding)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def seconds(time: datetime) -> int:
    """Return seconds since 1970."""
    return int(time.timestamp())


def movielens_100k(folder: Path) -> None:
    """u.data and u.item: no header, tabs and bars, Latin-1."""
    write(folder / "u.data", [f"{u}\t{i}\t{r}\t{seconds(t)}" for u, i, r, t in log()])
    flags = "|".join("01"[n % 2] for n in range(19))
    rows = [f"{i}|Café {i} (1995)|01-Jan-1995||link|{flags}" for i in range(1, ITEMS + 1)]
    write(folder / "u.item", rows, "latin-1")
    write(folder / "u.user", [f"{u}|24|M|technician|85711" for u in range(1, USERS + 1)])


def movielens_1m(folder: Path) -> None:
    """ratings.dat and movies.dat: no header, two colons, inside the folder of the archive."""
    inside = folder / "ml-1m"
    write(inside / "ratings.dat", [f"{u}::{i}::{r}::{seconds(t)}" for u, i, r, t in log()])
    write(inside / "movies.dat", [f"{i}::Café {i} (1995)::Comedy|Drama" for i in range(1, ITEMS + 1)], "latin-1")
    write(inside / "users.dat", [f"{u}::F::1::10::48067" for u in range(1, USERS + 1)])


def movielens(folder: Path) -> None:
    """ratings.csv and movies.csv, beside files of no use here."""
    head = "userId,movieId,rating,timestamp"
    write(folder / "ratings.csv", [head, *(f"{u},{i},{r}.0,{seconds(t)}" for u, i, r, t in log())])
    films = (f'{i},"Film {i}, The (1995)",Comedy|Drama' for i in range(1, ITEMS + 1))
    write(folder / "movies.csv", ["movieId,title,genres", *films])
    write(folder / "links.csv", ["movieId,imdbId,tmdbId", "1,0114709,862"])


def mind(folder: Path) -> None:
    """behaviors.tsv and news.tsv: impressions in one cell, no header."""
    rows = [
        f"{n}\tU{u}\t{t.month}/{t.day}/{t.year} {t:%I:%M:%S %p}\t\tN{i}-{int(r > 3)} N{i % ITEMS + 1}-0"
        for n, (u, i, r, t) in enumerate(log(), start=1)
    ]
    write(folder / "behaviors.tsv", rows)
    news = [f'N{i}\tnews\tworld\t"Headline" {i}\tWhat happened.\tlink\t[]\t[]' for i in range(1, ITEMS + 1)]
    write(folder / "news.tsv", news)


def amazon_2023(folder: Path) -> None:
    """Packed JSON lines; a review names a variant and its parent, the items are parents."""
    reviews = (
        {"rating": float(r), "title": "Five", "text": "Good", "images": [], "asin": f"V{i}", "parent_asin": f"P{i}"}
        | {"user_id": f"A{u}", "timestamp": seconds(t) * 1000, "helpful_vote": 0, "verified_purchase": True}
        for u, i, r, t in log()
    )
    items = (
        {"main_category": "All Beauty", "title": f"Shampoo {i}", "average_rating": 4.1, "rating_number": 10}
        | {"features": ["soft"], "description": [], "price": None if i % 2 else 9.5, "images": [], "videos": []}
        | {"store": "Acme", "categories": ["Hair", "Care"], "details": {"Brand": "Acme"}, "parent_asin": f"P{i}"}
        for i in range(1, ITEMS + 1)
    )
    write(folder / "All_Beauty.jsonl.gz", [json.dumps(one) for one in reviews])
    write(folder / "meta_All_Beauty.jsonl.gz", [json.dumps(one) for one in items])


def yelp(folder: Path) -> None:
    """JSON lines with the suffix .json."""
    reviews = (
        {"review_id": f"r{u}-{i}", "user_id": f"u{u}", "business_id": f"b{i}", "stars": float(r), "useful": 0}
        | {"funny": 0, "cool": 0, "text": "Nice.", "date": f"{t:%Y-%m-%d %H:%M:%S}"}
        for u, i, r, t in log()
    )
    places = (
        {"business_id": f"b{i}", "name": f"Diner {i}", "address": f"{i} Main St", "city": "Tampa", "state": "FL"}
        | {"stars": 4.0, "review_count": 9, "attributes": {"WiFi": "free"}, "categories": "Diners, Breakfast"}
        for i in range(1, ITEMS + 1)
    )
    write(folder / "yelp_academic_dataset_review.json", [json.dumps(one) for one in reviews])
    write(folder / "yelp_academic_dataset_business.json", [json.dumps(one) for one in places])


def steam(folder: Path) -> None:
    """Records as Python writes them, packed; some reviews lack the hours, one game its name."""
    reviews = (
        {"username": f"u{u}", "product_id": str(i), "page_order": 0, "date": f"{t:%Y-%m-%d}", "text": "Fun"}
        | ({} if (u, n % EACH) == (1, 0) else {"hours": 5.5 * r - 8})
        for n, (u, i, r, t) in enumerate(log())
    )
    games = (
        {"publisher": "Acme", "genres": ["Action", "Indie"], "title": f"Game {i}", "release_date": "2018-01-04"}
        | {"tags": ["Action"], "price": "Free To Play", "developer": "Acme", "id": str(i)}
        | ({} if i == 1 else {"app_name": f"Game {i}"})
        for i in range(1, ITEMS + 1)
    )
    write(folder / "steam_reviews.json.gz", [repr(one) for one in reviews])
    write(folder / "steam_games.json.gz", [repr(one) for one in games])


def book_crossing(folder: Path) -> None:
    r"""Semicolons, every field quoted, cp1252, `\"` inside titles; 0 is `not rated`; no times."""
    head = '"User-ID";"ISBN";"Book-Rating"'
    rows = (f'"{u}";"{i:09}X";"{0 if r == 2 else 2 * r}"' for u, i, r, _ in log())
    write(folder / "BX-Book-Ratings.csv", [head, *rows], "cp1252")
    head = '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher";"Image-URL-S"'
    books = (
        f'"{i:09}X";"Das \\"Café\\" {i}";"A. Müller";"1999";"Ullstein";"http://x/{i}"' for i in range(1, ITEMS + 1)
    )
    write(folder / "BX-Books.csv", [head, *books], "cp1252")


def lastfm(folder: Path) -> None:
    """HetRec 2011: tabs, a header, weights, no times."""
    rows = (f"{u}\t{i}\t{100 * r}" for u, i, r, _ in log())
    write(folder / "user_artists.dat", ["userID\tartistID\tweight", *rows])
    artists = (f"{i}\tBand {i}\thttp://x/{i}\thttp://y/{i}.jpg" for i in range(1, ITEMS + 1))
    write(folder / "artists.dat", ["id\tname\turl\tpictureURL", *artists])


def lastfm_1k(folder: Path) -> None:
    """One row a listening, no header; some artists lack an id."""
    rows = (
        f"user_{u:06}\t{t:%Y-%m-%dT%H:%M:%SZ}\t{'' if i == 1 else f'a{i}'}\tBand {i}\ttr{i}\tSong {i}"
        for u, i, _, t in log()
    )
    write(folder / "userid-timestamp-artid-artname-traid-traname.tsv", rows)
    profiles = (f"user_{u:06}\tm\t\tMexico\tApr 27, 2005" for u in range(1, USERS + 1))
    write(folder / "userid-profile.tsv", ["#id\tgender\tage\tcountry\tregistered", *profiles])


def retailrocket(folder: Path) -> None:
    """Views, carts and transactions; properties in long form in two parts, some twice with another time."""
    kind = ("view", "view", "view", "addtocart", "transaction")
    rows = (f"{seconds(t) * 1000},{u},{kind[r - 1]},{i},{9 if r == 5 else ''}" for u, i, r, t in log())
    write(folder / "events.csv", ["timestamp,visitorid,event,itemid,transactionid", *rows])
    for part in (1, 2):
        of_part = (f"{1_499_000_000_000 + part},{i},{{}}" for i in range(1, ITEMS + 1))
        lines = (line.format(one) for line in of_part for one in (f"categoryid,10{part}", "790,n552.000"))
        write(folder / f"item_properties_part{part}.csv", ["timestamp,itemid,property,value", *lines])


def rees46(folder: Path) -> None:
    """Views, carts and purchases of a month, with what is known of the item in every row."""
    kind = ("view", "view", "view", "cart", "purchase")
    head = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
    rows = (
        f"{t:%Y-%m-%d %H:%M:%S} UTC,{kind[r - 1]},{i},205{i % 4},{'' if i % 4 == 0 else 'electronics.phone'},"
        f"{'' if i % 3 == 0 else 'acme'},{10 + i}.50,{u},s{u}-{t:%d}"
        for u, i, r, t in log()
    )
    write(folder / "2019-Oct.csv.gz", [head, *rows])


def kuairec(folder: Path) -> None:
    """Watch ratios in data/, with captions; a list of categories is written as text."""
    head = "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio"
    rows = (f"{u},{i},{r}000,2500,{t:%Y-%m-%d %H:%M:%S.%f},{t:%Y%m%d},{seconds(t)}.5,{r / 2}" for u, i, r, t in log())
    write(folder / "data" / "big_matrix.csv", [head, *rows])
    videos = (f'{i},"[{i % 4}, 9]"' for i in range(1, ITEMS + 1))
    write(folder / "data" / "item_categories.csv", ["video_id,feat", *videos])


def tenrec(folder: Path) -> None:
    """Shown videos, clicked or not; no times, what is known of the video is in every row."""
    names = ["user_id", "item_id", "click", "follow", "like", "share", "video_category", "watching_times"]
    head = ",".join([*names, "gender", "age", *(f"hist_{n}" for n in range(1, 11))])
    rows = (f"{u},{i},{int(r > 3)},0,0,0,{i % 4},1,1,3,{','.join('0' * 10)}" for u, i, r, _ in log())
    write(folder / "QK-video.csv", [head, *rows])


def recbole(folder: Path) -> None:
    """Atomic files: tabs, typed header, lists separated by blanks."""
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    write(folder / "ml-100k.inter", [head, *(f"{u}\t{i}\t{r}\t{seconds(t)}" for u, i, r, t in log())])
    head = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
    write(folder / "ml-100k.item", [head, *(f"{i}\tFilm {i}\t1995\tComedy Drama" for i in range(1, ITEMS + 1))])


PUBLISHED: dict[str, Callable[[Path], None]] = {
    "movielens-100k": movielens_100k,
    "movielens-1m": movielens_1m,
    "movielens": movielens,
    "amazon-2023": amazon_2023,
    "yelp": yelp,
    "steam": steam,
    "book-crossing": book_crossing,
    "recbole": recbole,
    "mind": mind,
    "lastfm": lastfm,
    "lastfm-1k": lastfm_1k,
    "retailrocket": retailrocket,
    "rees46": rees46,
    "kuairec": kuairec,
    "tenrec": tenrec,
}
"""Preset -> what writes its files to a folder."""
