/* The layers of a print, one picture each, with a slider that the keyboard moves too. */
$(function () {
    // How often a picture is asked for before it is given up, and milliseconds in between.
    const TRIES = 4;
    const AGAIN_MS = 2000;

    function FacesculptLayersViewModel(parameters) {
        const self = this;
        const shared = (self.shared = parameters[0]);
        const texts = shared.texts;
        const client = () => OctoPrint.plugins.facesculpt;

        self.sculpture = ko.observable();
        self.layers = ko.observable();
        self.number = ko.observable(0);
        self.picture = ko.observable("");
        self.loading = ko.observable(false);
        self.error = ko.observable();
        self.count = ko.pureComputed(() => (self.layers() ? self.layers().z.length : 0));
        self.last = ko.pureComputed(() => Math.max(0, self.count() - 1));

        self.caption = ko.pureComputed(() => {
            const layers = self.layers();
            const number = Math.min(Number(self.number()), self.last());
            if (!layers || !self.count()) return "";
            const said = _.sprintf(gettext("Layer %(number)d of %(count)d, %(height)s mm above the bed, after %(time)s"), {
                number: number + 1,
                count: self.count(),
                height: texts.number(layers.z[number], 2),
                time: texts.duration(layers.seconds[number])
            });
            return alone().includes(number) ? said + ", " + gettext("supports alone") : said;
        });
        // Supports may have layers of their own height; the card counts those of the sculpture.
        const alone = () => (self.layers() || {}).supports_alone || [];
        self.supportsText = ko.pureComputed(() => {
            const count = alone().length;
            return count
                ? _.sprintf(gettext("%(count)d of them hold supports alone; the sculpture itself has %(layers)d layers."), {
                      count: count,
                      layers: self.count() - count
                  })
                : "";
        });
        self.legend = ko.pureComputed(() =>
            ((self.layers() || {}).colours || []).map((entry) => ({colour: entry.colour, name: texts.line(entry.kind)}))
        );

        // One picture at a time: the slider moves faster than they are drawn, and each that is waited for keeps the server busy.
        // When one has come, the one that is wanted by then is asked for.
        let underWay = false;
        const load = _.debounce(() => ask(TRIES), 120);
        const wanted = () =>
            self.sculpture() && self.count()
                ? client().layerUrl(self.sculpture().id, Number(self.number()), self.layers().version)
                : "";
        const ask = (tries) => {
            const url = wanted();
            if (underWay || !url) return;
            const image = new Image();
            const answered = (action) => () => {
                underWay = false;
                if (url === wanted()) action();
                else ask(TRIES);
            };
            underWay = true;
            self.loading(true);
            image.onload = answered(() => {
                self.picture(url);
                self.loading(false);
                self.error(undefined);
            });
            image.onerror = answered(() => {
                // Others are looking at layers, too.
                if (tries > 1) return window.setTimeout(() => ask(tries - 1), AGAIN_MS);
                self.loading(false);
                self.error({message: gettext("This layer could not be drawn."), hint: gettext("Please try again.")});
            });
            image.src = url;
        };
        self.number.subscribe(load);

        self.open = (sculpture) => {
            self.sculpture(sculpture);
            self.layers(undefined);
            self.loading(false);
            self.picture("");
            self.error(undefined);
            shared.openDialog($("#facesculpt_layers"));
            client()
                .layers(sculpture.id)
                .done((layers) => {
                    if (self.sculpture() !== sculpture) return;
                    self.layers(layers);
                    self.number(Math.floor(layers.z.length / 2));
                    load();
                })
                .fail((request) => self.sculpture() === sculpture && self.error(shared.errors.ofRequest(request)));
        };

        self.step = (by) => self.number(Math.min(self.last(), Math.max(0, Number(self.number()) + by)));
        self.up = () => self.step(1);
        self.down = () => self.step(-1);

        self.onStartup = () => {
            const dialog = $("#facesculpt_layers");
            dialog.on("shown", () => dialog.find("input[type=range]").trigger("focus"));
            dialog.on("hidden", () => {
                self.sculpture(undefined);
                self.picture("");
            });
        };
    }

    OCTOPRINT_VIEWMODELS.push({
        construct: FacesculptLayersViewModel,
        dependencies: ["facesculptViewModel"],
        elements: ["#facesculpt_layers"]
    });
});
