"""Draw characters in the browser and watch a learner adapt: python src/demo.py ckpt_path=..."""

from omegaconf import DictConfig

from firstorder.cli.assembly import plain
from firstorder.cli.commands import entry
from firstorder.cli.demo import needs_extra


@entry("demo")
def main(cfg: DictConfig) -> None:
    """Serve the page to this machine until a signal ends it, or write it into a folder."""
    with needs_extra():
        from firstorder.demo.server import app, open_port
    from firstorder.demo.characters import Characters
    from firstorder.demo.waves import Waves

    characters = Characters(cfg.ckpt_path, plain(cfg.eval))
    waves = Waves(cfg.sine_ckpt_path) if cfg.sine_ckpt_path else None
    if cfg.export:
        with needs_extra():
            from firstorder.demo.export import export

            page = export(characters, waves, cfg.export)
        print(f"the demo is {page}: open it in a browser")
        return
    server = open_port(app(characters, waves), cfg.port)
    print(f"the demo is at http://127.0.0.1:{server.port}/ until Ctrl-C", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
