/* The layers of a print, one picture each, with a slider that the keyboard moves too. */
$(function () {
    function FacesculptLayersViewModel(parameters) {
        const self = this;
        const shared = (self.shared = parameters[0]);
        const texts = shared.texts;

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
            return _.sprintf(gettext("Layer %(number)d of %(count)d, %(height)s mm above the bed, after %(time)s"), {
                number: number + 1,
                count: self.count(),
                height: texts.number(layers.z[number], 2),
                time: texts.duration(layers.seconds[number])
            });
        });
        self.legend = ko.pureComputed(() =>
            ((self.layers() || {}).colours || []).map((entry) => ({colour: entry.colour, name: texts.line(entry.kind)}))
        );

        // Only the last one that was asked for counts: the slider moves faster than pictures come.
        let asked = 0;
        const load = _.debounce(() => {
            const sculpture = self.sculpture();
            if (!sculpture || !self.count()) return;
            const mine = (asked += 1);
            const image = new Image();
            const url = OctoPrint.plugins.facesculpt.layerUrl(sculpture.id, Number(self.number()), self.layers().version);
            self.loading(true);
            image.onload = () => {
                if (mine !== asked) return;
                self.picture(url);
                self.loading(false);
                self.error(undefined);
            };
            image.onerror = () => {
                if (mine !== asked) return;
                self.loading(false);
                self.error({message: gettext("This layer could not be drawn."), hint: gettext("Please try again.")});
            };
            image.src = url;
        }, 120);
        self.number.subscribe(load);

        self.open = (sculpture) => {
            self.sculpture(sculpture);
            self.layers(undefined);
            self.picture("");
            self.error(undefined);
            shared.openDialog($("#facesculpt_layers"));
            OctoPrint.plugins.facesculpt
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
                asked += 1;
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
